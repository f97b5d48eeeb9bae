"use strict";
// The live page: camera and microphone to the server's socket, and what comes back onto the page.
// Nothing is stored here, and nothing is sent but to where this page came from.
(() => {
  // Two pictures may be on their way, so that none waits for the network; one where the server is so slow that the
  // second would only wait there and be old when its turn comes.
  const MOST_UNACKNOWLEDGED = 2, SLOW_MS = 90;
  const LONGEST_SIDE = 640, QUALITY = 0.9;
  const PICTURE = 1, SOUND = 2;
  const AGAINST = { rest_clip: "against the rest phase", recording: "against the voice so far" };
  const $ = (name) => document.getElementById(`ps-live-${name}`);
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  let run = null; // the recording that runs; null between two

  // ---- words

  const fail = (text) => {
    if ($("error")) $("error").textContent = text;
    if (text) say("");
  };
  // The status line is read out by screen readers: short, and never the same twice in a row.
  const say = (text) => { if ($("status") && $("status").textContent !== text) $("status").textContent = text; };

  const refusal = (error) => ({
    NotFoundError: "No camera was found. Connect one, then press Start again.",
    OverconstrainedError: "No camera was found that can be used here. Connect another one, then press Start again.",
    NotAllowedError: "The camera was not allowed. Allow it for this page in the address bar of the browser, then press Start again.",
    SecurityError: "The browser does not give the camera to this page. Its settings may forbid it.",
    NotReadableError: "The camera is busy or cannot be read. Close other programs that use it, then press Start again.",
    AbortError: "The camera could not be started. Unplug it and plug it in again, then press Start again.",
  }[error.name] || "The camera could not be started. Try another browser, or another camera.");

  // ---- camera and microphone

  const VIDEO = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 30 }, facingMode: "user" };
  // what a browser does to a voice on the telephone changes how loud and how clear it is
  const AUDIO = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };

  const capture = async (withSound) => {
    if (!withSound) return { stream: await navigator.mediaDevices.getUserMedia({ video: VIDEO }), note: "" };
    try {
      return { stream: await navigator.mediaDevices.getUserMedia({ video: VIDEO, audio: AUDIO }), note: "" };
    } catch (error) { // the camera, or only the microphone?
      const stream = await navigator.mediaDevices.getUserMedia({ video: VIDEO });
      const why = error.name === "NotAllowedError" ? "was not allowed"
        : error.name === "NotFoundError" ? "was not found" : "cannot be read";
      return { stream, note: `The microphone ${why}. The face alone is measured.` };
    }
  };

  const hear = async (me) => {
    if (!me.stream.getAudioTracks().length) return;
    const source = new MediaStream(me.stream.getAudioTracks());
    let context;
    try {
      context = new AudioContext({ sampleRate: 16000 });
      me.node = context.createMediaStreamSource(source);
    } catch { // this browser wants the microphone's own rate; live-sound.js brings it to 16 kHz
      if (context) context.close();
      context = new AudioContext();
      me.node = context.createMediaStreamSource(source);
    }
    me.context = context;
    // a telephone call, for example, stops the sound's clock: set it anew then
    context.addEventListener("statechange", () => { if (context.state !== "running") me.soundFrom = undefined; });
    await context.audioWorklet.addModule("/static/live-sound.js");
    if (me !== run) return;
    const worklet = new AudioWorkletNode(context, "painsense-sound", { numberOfOutputs: 0 });
    worklet.port.onmessage = ({ data }) => {
      if (!me.ready || !sends(me)) return;
      const length_s = data.samples.length / data.rate;
      // the sound's own clock, set once by ours: it has no gaps
      me.soundFrom ??= Math.max(0, clock(me) - length_s) - data.start / data.rate;
      send(me, SOUND, me.blocks++, me.soundFrom + data.start / data.rate, data.samples.buffer);
    };
    me.node.connect(worklet);
    await context.resume();
  };

  const clock = (me, now = performance.now()) => (now - me.began) / 1000;

  // After stop nothing more is sent, though a picture may be half made, and sound wait in the queue.
  const sends = (me) => me === run && !me.stopping && me.socket.readyState === WebSocket.OPEN;
  const send = (me, kind, number, time_s, body) => {
    const header = new DataView(new ArrayBuffer(16));
    header.setUint8(0, kind);
    header.setUint32(4, number, true);
    header.setFloat64(8, time_s, true);
    const message = new Uint8Array(16 + body.byteLength);
    message.set(new Uint8Array(header.buffer));
    message.set(new Uint8Array(body), 16);
    me.socket.send(message);
  };

  // Every picture of the camera is offered; those that come while enough are on their way are let go.
  const watch = (me) => {
    const video = $("video");
    const each = (now, frame) => {
      if (me !== run || !me.stream.active) return;
      next();
      if (!me.ready || me.encoding || me.waiting.size >= (me.lag_ms > SLOW_MS ? 1 : MOST_UNACKNOWLEDGED) || !video.videoWidth) return;
      const taken = frame && (frame.captureTime ?? frame.presentationTime) || now;
      const time_s = clock(me, taken);
      if (time_s <= me.last) return;
      me.last = time_s;
      const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
      const width = Math.round(video.videoWidth * scale), height = Math.round(video.videoHeight * scale);
      if (me.canvas.width !== width || me.canvas.height !== height) Object.assign(me.canvas, { width, height });
      me.canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0, width, height); // not mirrored
      me.encoding = true;
      me.canvas.toBlob(async (blob) => {
        const body = blob && await blob.arrayBuffer();
        me.encoding = false;
        if (!body || !sends(me)) return;
        me.waiting.set(me.pictures, taken);
        send(me, PICTURE, me.pictures++, time_s, body);
      }, "image/jpeg", QUALITY);
    };
    const next = () => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(each) : requestAnimationFrame(each));
    next();
  };

  // ---- a recording from start to end

  const start = async () => {
    if (run) return;
    fail("");
    $("result").hidden = true;
    $("result").replaceChildren();
    if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) {
      fail(isSecureContext
        ? "This browser cannot use a camera. Try a current Firefox, Chrome, Edge or Safari."
        : "The browser gives the camera only to pages on this machine or over https. Open it as http://localhost, or start painsense demo with --tls-cert and --tls-key.");
      return;
    }
    const me = run = {
      began: 0, last: 0, pictures: 0, blocks: 0, waiting: new Map(), canvas: document.createElement("canvas"),
      lag_ms: 0, ready: false, encoding: false, resting: true, windows: [], leaving: "",
    };
    $("start").disabled = true;
    say("Waiting for the camera. The browser may ask you to allow it.");
    let note;
    try {
      ({ stream: me.stream, note } = await capture($("sound").checked));
    } catch (error) {
      run = null;
      $("start").disabled = false;
      fail(refusal(error));
      return;
    }
    if (me !== run || !present()) { release(me); idle(); return; }
    for (const track of me.stream.getTracks()) track.addEventListener("ended", () => lost(me, track.kind));
    $("video").srcObject = me.stream;
    $("video").play().catch(() => {});
    $("before").hidden = true;
    $("stage").hidden = false;
    $("stop").disabled = false;
    clear();
    say(note || "Loading the models.");
    me.note = note;
    connect(me);
    me.guard = setInterval(() => { if (!present()) stop("The camera was stopped because you left this page."); }, 250);
    watch(me);
    hear(me).catch(() => { me.note = "The microphone cannot be read. The face alone is measured."; say(me.note); });
    $("stop").focus({ preventScroll: true });
  };

  const connect = (me) => {
    const whose = document.getElementById("painsense-session");
    const address = new URL(`/live?session=${encodeURIComponent(whose ? whose.dataset.id : "")}`, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = me.socket = new WebSocket(address);
    socket.onopen = () => socket.send(JSON.stringify({ type: "start" }));
    socket.onmessage = ({ data }) => { if (me === run) heard(me, JSON.parse(data)); };
    socket.onclose = (event) => {
      if (me !== run) return;
      const gone = "The connection to painsense is gone. Look whether it still runs, load this page again, and press Start.";
      end(me, event.code === 1008 && event.reason ? `${event.reason[0].toUpperCase()}${event.reason.slice(1)}.` : gone);
    };
  };

  // On the page, in a tab of Gradio and of the browser that can be seen.
  const present = () => {
    const page = document.querySelector(".ps-live");
    return Boolean(page && page.isConnected && page.offsetParent !== null && !document.hidden);
  };

  const release = (me) => {
    for (const track of me.stream ? me.stream.getTracks() : []) track.stop();
    if (me.context && me.context.state !== "closed") me.context.close();
    clearInterval(me.guard);
    if ($("video")) $("video").srcObject = null;
  };

  const stop = (why = "") => {
    const me = run;
    if (!me || me.stopping || !me.stream) return;
    me.stopping = true;
    me.leaving = why;
    release(me);
    if (me.socket.readyState === WebSocket.OPEN && me.ready) {
      me.socket.send(JSON.stringify({ type: "stop" }));
      say("The camera is off. The summary is being made.");
    } else end(me, "");
    if ($("stop")) $("stop").disabled = true;
  };

  const lost = (me, kind) => {
    if (me !== run || me.stopping) return;
    if (kind === "video") stop("The camera was disconnected, and the recording ended.");
    else say("The microphone was disconnected. The face alone is measured from here on.");
  };

  // Back to the beginning, with words when something went wrong.
  const end = (me, text) => {
    release(me);
    me.socket.onclose = null;
    me.socket.close();
    idle();
    if (text) fail(text);
  };
  const idle = () => {
    run = null;
    if (!$("before")) return;
    $("before").hidden = false;
    $("stage").hidden = true;
    $("start").disabled = false;
    say("");
  };

  const heard = (me, message) => {
    if (message.type === "moment") return shown(me, message);
    if (message.type === "window") return window2s(me, message);
    if (message.type === "coach") return coach(me, message);
    if (message.type === "ready") {
      units(message.units);
      me.began = performance.now();
      me.ready = true;
      $("skip").hidden = false;
      $("count").hidden = false;
      say(`${me.note} Rest phase: look at the camera with a relaxed face for ${message.rest_s} seconds.`.trim());
    } else if (message.type === "error") end(me, message.text);
    else if (message.type === "finishing") {
      me.stopping = true;
      release(me);
      say("The camera is off. The summary is being made.");
    } else if (message.type === "result") {
      const why = [me.leaving, message.note].filter(Boolean).join(" ");
      end(me, "");
      $("result").innerHTML = message.html;
      $("result").hidden = false;
      $("start").textContent = "Start again";
      $("rules").open = false; // they can be opened again
      say(`${why} The recording has ended. Its summary follows.`.trim());
      $("result").focus({ preventScroll: Boolean(why) });
    }
  };

  // ---- what is shown

  const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const range = (low, high) => (low === null || high === null ? "" : `90% interval ${number(low)} to ${number(high)}`);
  const text = (name, value) => { if ($(name).textContent !== value) $(name).textContent = value; };

  const units = (list) => {
    $("units").replaceChildren(...list.map(({ name, words, most }) => {
      const row = document.createElement("div");
      row.className = "ps-live-row";
      row.dataset.unit = name;
      row.dataset.most = most;
      row.innerHTML = '<dt></dt><dd class="ps-live-bar" aria-hidden="true"><i></i></dd><dd class="ps-live-value">–</dd>';
      row.firstChild.textContent = `${words} (${name})`;
      return row;
    }));
  };
  const bars = (values) => {
    for (const row of $("units").children) {
      const share = (values[row.dataset.unit] ?? 0) / Number(row.dataset.most);
      row.querySelector("i").style.transform = `scaleX(${Math.min(1, share).toFixed(3)})`;
    }
  };

  // One picture: the bars move with it. Its result counts as shown when the browser is about to paint it.
  const shown = (me, moment) => {
    const taken = me.waiting.get(moment.number);
    me.waiting.delete(moment.number);
    me.lag_ms += 0.2 * (performance.now() - taken - me.lag_ms);
    requestAnimationFrame((now) => {
      if (me !== run) return;
      if (!still() && !me.resting) bars(moment.units);
      document.dispatchEvent(new CustomEvent("painsense:moment", {
        detail: { number: moment.number, time_s: moment.time_s, pspi: moment.pspi, lag_ms: Math.max(now, performance.now()) - taken },
      }));
    });
  };

  const window2s = (me, now) => {
    document.dispatchEvent(new CustomEvent("painsense:window", { detail: now }));
    unseen(now.reasons);
    voice(now.voice);
    if (now.resting) return;
    text("score", number(now.score));
    text("score-range", range(now.score === null ? null : now.low, now.high));
    text("pspi", number(now.pspi));
    text("pspi-range", range(now.pspi_low, now.pspi_high));
    const percent = (share) => `${Math.round(share * 100)}%`;
    text("weights", now.score === null || now.face_weight === null ? "–"
      : now.voice_weight < 0.005 ? "the face alone" : now.face_weight < 0.005 ? "the voice alone"
        : `face ${percent(now.face_weight)}, voice ${percent(now.voice_weight)}`);
    for (const row of $("units").children) {
      const value = now.units[row.dataset.unit];
      const yes = Number(row.dataset.most) === 1;
      row.lastChild.textContent = value === undefined ? "–" : yes ? (value >= 0.5 ? "yes" : "no") : number(value);
    }
    if (still()) bars(now.units);
    me.windows.push(now);
    trace(me.windows);
  };

  const trace = (windows) => {
    const picture = $("trace"), seconds = Number(picture.dataset.seconds);
    const { width, height } = picture.getBoundingClientRect();
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const end = windows[windows.length - 1].time_s;
    while (windows.length && windows[0].time_s < end - seconds - 1) windows.shift();
    const scored = windows.some((window) => window.score !== null);
    const most = scored ? 10 : 16, [value, low, high] = scored ? ["score", "low", "high"] : ["pspi", "pspi_low", "pspi_high"];
    text("trace-title", scored ? "Score" : "PSPI");
    text("trace-top", String(most));
    const x = (time_s) => (width * (1 - (end - time_s) / seconds)).toFixed(1);
    const y = (amount) => (height * (1 - amount / most)).toFixed(1);
    const parts = [[]]; // stretches without a hole
    let gaps = "";
    for (const window of windows) {
      const part = parts[parts.length - 1], before = part[part.length - 1];
      if (window[value] === null) {
        gaps += `M${x(window.time_s - 0.5)} 0V${height}H${x(window.time_s)}V0z`;
        if (before) parts.push([]);
      } else if (before && window.time_s - before.time_s > 1.1) parts.push([window]);
      else part.push(window);
    }
    const path = (list, name) => list.map((window) => `${x(window.time_s)} ${y(window[name])}`).join("L");
    const full = parts.filter((part) => part.length);
    picture.querySelector(".ps-live-gap").setAttribute("d", gaps);
    picture.querySelector(".ps-live-line").setAttribute("d", full.map((part) => `M${path(part, value)}h.01`).join(""));
    picture.querySelector(".ps-live-band").setAttribute("d",
      full.map((part) => `M${path(part, high)}L${path([...part].reverse(), low)}z`).join(""));
    const known = windows.map((window) => window[value]).filter((amount) => amount !== null);
    picture.setAttribute("aria-label", known.length
      ? `${scored ? "Score" : "PSPI"} over the last ${Math.round(end - windows[0].time_s)} seconds: between ${number(Math.min(...known))} and ${number(Math.max(...known))} of ${most}, now ${number(windows[windows.length - 1][value])}`
      : "Course over the last seconds: nothing could be measured");
  };

  const CHANGES = { pitch: 12, loudness: 15 }; // half a bar: an octave, and three times as loud
  const change = (name, value) => {
    const share = Math.max(-1, Math.min(1, (value ?? 0) / CHANGES[name]));
    $(`${name}-bar`).style.transform = `scaleX(${share.toFixed(3)})`;
  };
  const against = (value, unit, more, less) => {
    if (value === null) return "";
    return Math.abs(value) < 0.5 ? "as at rest" : `${number(Math.abs(value))} ${unit} ${value > 0 ? more : less}`;
  };
  const voice = (now) => {
    change("pitch", now && now.f0_change);
    change("loudness", now && now.loudness_change);
    text("against", now ? AGAINST[now.against] || "2 s of voice are needed to compare" : "no microphone");
    const pitch = now && now.f0_hz !== null ? [`${Math.round(now.f0_hz)} Hz`, against(now.f0_change, "semitones", "higher", "lower")] : ["–"];
    text("pitch", pitch.filter(Boolean).join(", "));
    text("loudness", now && now.loudness_change !== null ? against(now.loudness_change, "dB", "louder", "softer") : "–");
    text("kind", now && now.sound ? now.sound : "–");
  };

  const unseen = (reasons) => {
    const lines = reasons.length ? reasons.map((reason) => reason.text) : ["Nothing stands in the way."];
    if (lines.join("\n") === $("unseen").dataset.said) return;
    $("unseen").dataset.said = lines.join("\n");
    $("unseen").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  };

  // Advice is shown at once; it is read out when it has stood for a second, and not again within five.
  const coach = (me, now) => {
    if (me.stopping) return;
    const line = now.advice.length ? now.advice[0].text : "";
    text("coach", line || (now.resting ? "Good. Relax your face and look at the camera." : ""));
    $("coach").classList.toggle("ps-live-warns", Boolean(line));
    if (line && line === me.line && line !== me.spoken && performance.now() - (me.spokenAt ?? -1e9) > 5000) {
      me.spoken = line;
      me.spokenAt = performance.now();
      text("spoken", line);
    }
    me.line = line;
    text("left", String(Math.ceil(now.left_s)));
    $("count").classList.toggle("ps-live-waits", now.advice.some((advice) => advice.blocks));
    if (me.resting && !now.resting) {
      me.resting = false;
      $("count").hidden = true;
      $("skip").hidden = true;
      if (document.activeElement === document.body) $("stop").focus({ preventScroll: true });
      say(now.neutral ? "The rest phase is over. Changes from it are measured now."
        : "Without a rest phase your face is compared with the average face.");
    }
    document.dispatchEvent(new CustomEvent("painsense:coach", { detail: now }));
  };

  const clear = () => {
    for (const name of ["score", "pspi", "weights", "pitch", "loudness", "kind"]) text(name, "–");
    text("score-range", "");
    text("pspi-range", "");
    text("spoken", "");
    text("coach", "");
    for (const part of $("trace").querySelectorAll(":scope > path")) part.setAttribute("d", "");
    $("count").hidden = true;
    $("skip").hidden = true;
  };

  // ---- events

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("button");
    if (!button) return;
    if (button.id === "ps-live-start") start();
    else if (button.id === "ps-live-stop") stop();
    else if (button.id === "ps-live-skip" && run && run.ready) {
      run.socket.send(JSON.stringify({ type: "skip" }));
      $("stop").focus({ preventScroll: true });
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop("The camera was stopped because you left this page.");
  });
  addEventListener("pagehide", () => { if (run) { release(run); if (run.socket) run.socket.close(); } });

  const whereabouts = () => {
    const here = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
    const place = $("where");
    const wanted = here ? "on this machine" : `on the machine ${location.hostname}`;
    if (place && place.textContent !== wanted) place.textContent = wanted;
  };
  const begin = () => {
    whereabouts();
    new MutationObserver(whereabouts).observe(document.body, { childList: true, subtree: true });
  };
  if (document.body) begin(); else document.addEventListener("DOMContentLoaded", begin);
})();
