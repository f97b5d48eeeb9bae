"use strict";
// The cursor of the timeline: pointer, keyboard, and the recording beside the report, all on one clock in seconds.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const scrub = byId("scrub"), line = byId("cursor"), tip = byId("tip"), readout = byId("readout");
  const player = byId("player"), media = player && player.firstElementChild; // neither for live pictures
  const { score, face, voice, end } = data;
  const longest = Math.max(end / 20, 1); // seconds of Page Up and Page Down
  const states = ["usable", "uncertain", "not usable"];
  let now = 0;

  const clock = (seconds) => {
    const tenths = Math.round(seconds * 10), whole = Math.floor(tenths / 10);
    const two = (n) => String(n).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(whole % 60)}.${tenths % 10}`;
  };

  // Index of the point that covers a time; -1 in a gap.
  const pointAt = (part, seconds) => {
    const at = Math.round(seconds * 1000), starts = part.start;
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= at) low = middle + 1; else high = middle;
    }
    const last = low - 1 === starts.length - 1;
    return low > 0 && (at < part.end[low - 1] || (last && at <= part.end[low - 1] + 50)) ? low - 1 : -1;
  };
  const number = (value, digits = 1) => (value === null ? "–" : (value / 100).toFixed(digits));

  // What there is to say at a time: [[name, reading, wide]].
  const readings = (seconds) => {
    const rows = [["Time", clock(seconds), false]];
    const s = score ? pointAt(score, seconds) : -1;
    if (s >= 0) {
      const range = score.score[s] === null ? "" : ` (${number(score.low[s])} to ${number(score.high[s])})`;
      rows.push(["Score (90% interval)", number(score.score[s]) + range, false]);
    }
    if (face) {
      const k = pointAt(face, seconds);
      if (k < 0) return [...rows, ["Face", "no picture at this moment", true]];
      const remark = face.phrases[face.why[k]];
      if (face.state[k] === 2) {
        rows.push(["Face", `not usable: ${remark || "not measured"}`, true]);
      } else {
        const low = face.pspi_low, high = face.pspi_high;
        const range = low && low[k] !== null ? ` (${number(low[k])} to ${number(high[k])})` : "";
        if (face.pspi) rows.push(["PSPI (90% interval)", number(face.pspi[k]) + range, false]);
        rows.push(["Face", states[face.state[k]] + (remark ? `, ${remark}` : ""), true]);
        for (const unit of face.units) {
          const value = unit.values[k];
          const said = unit.binary && value !== null ? (value >= 50 ? "yes" : "no") : number(value);
          rows.push([`${unit.words} (${unit.name})`, said, false]);
        }
      }
    }
    if (voice) {
      const k = pointAt(voice, seconds);
      if (k < 0) rows.push(["Voice", "no sound at this moment", false]);
      else if (!voice.usable[k]) rows.push(["Voice", `not usable: ${voice.phrases[voice.why[k]]}`, false]);
      else {
        const share = voice.voiced[k];
        rows.push(["Voice", share >= 50 ? "voiced" : share > 0 ? "partly voiced" : "no voice", false]);
        if (voice.kinds) rows.push(["Sound", voice.kinds[voice.kind[k]], false]);
        for (const shown of voice.shown) {
          if (shown.values[k] !== null) rows.push([shown.label, `${number(shown.values[k])} ${shown.unit}`, false]);
        }
      }
    }
    return rows;
  };

  const spoken = (seconds) => {
    const s = score ? pointAt(score, seconds) : -1, k = face ? pointAt(face, seconds) : -1;
    const at = clock(seconds) + (s >= 0 && score.score[s] !== null ? `, score ${number(score.score[s])}` : "");
    if (k < 0) return `${at}, ${face ? "no picture" : "sound only"}`;
    const remark = face.phrases[face.why[k]];
    if (face.state[k] === 2) return `${at}, face not usable: ${remark || "not measured"}`;
    const value = face.pspi ? `, PSPI ${number(face.pspi[k])}` : "";
    return `${at}${value}, ${states[face.state[k]]}${remark ? `, ${remark}` : ""}`;
  };

  const element = (tag, style, text) => {
    const made = document.createElement(tag);
    made.className = style;
    made.textContent = text;
    return made;
  };

  const show = (seconds) => {
    now = Math.min(Math.max(seconds, 0), end);
    line.style.left = `${(100 * now) / end}%`;
    scrub.setAttribute("aria-valuenow", now.toFixed(2));
    scrub.setAttribute("aria-valuetext", spoken(now));
    readout.replaceChildren(...readings(now).map(([name, reading, wide]) => {
      const row = element("div", wide ? "wide" : "", "");
      row.append(element("span", "name", name), element("span", "reading", reading));
      return row;
    }));
  };

  const playable = () => media && media.readyState > 0;
  const seek = (seconds) => {
    show(seconds);
    if (playable()) media.currentTime = Math.min(now, media.duration || now);
  };

  const timeAt = (event) => {
    const box = scrub.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * end;
  };
  const hover = (event) => {
    const seconds = timeAt(event), box = scrub.getBoundingClientRect();
    tip.textContent = spoken(seconds);
    tip.hidden = false;
    const x = (box.width * seconds) / end;
    tip.style.left = `${Math.min(Math.max(x + 12, 0), Math.max(box.width - tip.offsetWidth, 0))}px`;
  };
  scrub.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    scrub.setPointerCapture(event.pointerId);
    seek(timeAt(event));
  });
  scrub.addEventListener("pointermove", (event) => {
    if (scrub.hasPointerCapture(event.pointerId)) seek(timeAt(event));
    hover(event);
  });
  scrub.addEventListener("pointerleave", () => { tip.hidden = true; });
  scrub.addEventListener("keydown", (event) => {
    const frame = face && face.start.length > 1 ? (face.start.at(-1) - face.start[0]) / 1000 / (face.start.length - 1) : 0;
    const small = Math.max(frame, 0.1);
    const goal = {
      ArrowRight: now + small, ArrowUp: now + small, ArrowLeft: now - small, ArrowDown: now - small,
      PageUp: now + longest, PageDown: now - longest, Home: 0, End: end,
    }[event.key];
    if (goal === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    seek(goal);
  });
  for (const button of document.querySelectorAll("button.seek")) {
    button.addEventListener("click", () => {
      seek(Number(button.dataset.seek));
      scrub.focus({ preventScroll: true });
      byId("timeline").scrollIntoView({ block: "center" });
    });
  }

  // The recording beside the report, if the browser can play it.
  const join = () => {
    const missing = () => { player.hidden = true; byId("player-note").hidden = false; };
    const found = () => { player.hidden = false; byId("player-note").hidden = true; };
    const follow = () => {
      show(media.currentTime);
      if (!media.paused && !media.ended) requestAnimationFrame(follow);
    };
    media.addEventListener("loadedmetadata", found);
    media.addEventListener("error", missing);
    media.addEventListener("play", follow);
    for (const name of ["seeked", "pause"]) {
      media.addEventListener(name, () => { if (media.paused && !media.seeking) show(media.currentTime); });
    }
    if (playable()) found(); else if (media.error) missing();
  };
  if (media) join();

  for (const id of ["scrub", "readout", "hint", "jumps"]) if (byId(id)) byId(id).hidden = false;
  for (const part of document.querySelectorAll(".peak-seek")) part.hidden = false;
  show(0);
})();
