"use strict";
// The cursor of each timeline on the page: pointer, keyboard, the player above it, and buttons that jump to a moment.
// The HTML report holds this script and one timeline; in the demo timelines come and go while the page lives, so that
// each is made ready when it appears.
(() => {
  const known = new WeakMap();
  const states = ["usable", "uncertain", "not usable"];

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
  const range = (low, high, k) => (low && low[k] !== null ? ` (${number(low[k])} to ${number(high[k])})` : "");

  // What there is to say at a time: [[name, reading, wide]].
  const readings = ({ face, voice, score }, seconds) => {
    const rows = [["Time", clock(seconds), false]];
    if (score) {
      const k = pointAt(score, seconds), given = k >= 0 && score.score[k] !== null;
      rows.push(["Score (90% interval)", given ? number(score.score[k]) + range(score.low, score.high, k) : "none here", false]);
    }
    if (face) {
      const k = pointAt(face, seconds);
      if (k < 0) rows.push(["Face", "no picture at this moment", true]);
      else {
        const remark = face.phrases[face.why[k]];
        if (face.state[k] === 2) rows.push(["Face", `not usable: ${remark || "not measured"}`, true]);
        else {
          if (face.pspi) rows.push(["PSPI (90% interval)", number(face.pspi[k]) + range(face.pspi_low, face.pspi_high, k), false]);
          rows.push(["Face", states[face.state[k]] + (remark ? `, ${remark}` : ""), true]);
          for (const unit of face.units) {
            const value = unit.values[k];
            const said = unit.binary && value !== null ? (value >= 50 ? "yes" : "no") : number(value);
            rows.push([`${unit.words} (${unit.name})`, said, false]);
          }
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

  const spoken = ({ face, score }, seconds) => {
    const s = score ? pointAt(score, seconds) : -1;
    const scored = s >= 0 && score.score[s] !== null ? `, score ${number(score.score[s])}` : "";
    const k = face ? pointAt(face, seconds) : -1;
    if (k < 0) return `${clock(seconds)}${scored}, ${face ? "no picture" : "sound only"}`;
    const remark = face.phrases[face.why[k]];
    if (face.state[k] === 2) return `${clock(seconds)}${scored}, face not usable: ${remark || "not measured"}`;
    const value = face.pspi ? `, PSPI ${number(face.pspi[k])}` : "";
    return `${clock(seconds)}${scored}${value}, ${states[face.state[k]]}${remark ? `, ${remark}` : ""}`;
  };

  const element = (tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  };

  // Everything one timeline can do.
  const prepare = (root) => {
    const data = JSON.parse(root.dataset.course), { end, face } = data;
    const find = (name) => root.querySelector(name);
    const scrub = find(".ps-scrub"), line = find(".ps-cursor"), tip = find(".ps-tip"), readout = find(".ps-readout");
    const media = find("video, audio"), player = find(".ps-player"), note = find(".ps-unplayable");
    const frame = face && face.start.length > 1 ? (face.start.at(-1) - face.start[0]) / 1000 / (face.start.length - 1) : 0;
    const small = Math.max(frame, 0.1), large = Math.max(end / 20, 1);
    let now = 0;

    const show = (seconds) => {
      now = Math.min(Math.max(seconds, 0), end);
      line.style.left = `${(100 * now) / end}%`;
      scrub.setAttribute("aria-valuenow", now.toFixed(2));
      scrub.setAttribute("aria-valuetext", spoken(data, now));
      readout.replaceChildren(...readings(data, now).map(([name, reading, wide]) => {
        const row = document.createElement("div");
        if (wide) row.className = "wide";
        row.append(element("dt", name), element("dd", reading));
        return row;
      }));
    };
    const seek = (seconds) => {
      show(seconds);
      if (media && media.readyState > 0) media.currentTime = Math.min(now, media.duration || now);
    };
    const timeAt = (event) => {
      const box = scrub.getBoundingClientRect();
      return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * end;
    };
    const point = (event) => {
      const seconds = timeAt(event), box = scrub.getBoundingClientRect();
      tip.textContent = spoken(data, seconds);
      tip.hidden = false;
      tip.style.left = `${Math.min(Math.max((box.width * seconds) / end + 12, 0), Math.max(box.width - tip.offsetWidth, 0))}px`;
    };

    scrub.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      scrub.setPointerCapture(event.pointerId);
      seek(timeAt(event));
    });
    scrub.addEventListener("pointermove", (event) => {
      if (scrub.hasPointerCapture(event.pointerId)) seek(timeAt(event));
      point(event);
    });
    scrub.addEventListener("pointerleave", () => { tip.hidden = true; });
    scrub.addEventListener("keydown", (event) => {
      const goal = {
        ArrowRight: now + small, ArrowUp: now + small, ArrowLeft: now - small, ArrowDown: now - small,
        PageUp: now + large, PageDown: now - large, Home: 0, End: end,
      }[event.key];
      if (goal === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      seek(goal);
    });
    if (media) {
      const follow = () => {
        show(media.currentTime);
        if (!media.paused && !media.ended && media.isConnected) requestAnimationFrame(follow);
      };
      media.addEventListener("play", follow);
      for (const name of ["seeked", "pause"]) {
        media.addEventListener(name, () => { if (media.paused && !media.seeking) show(media.currentTime); });
      }
      // some browsers show a black picture until something is sought
      media.addEventListener("loadedmetadata", () => { if (media.paused && media.currentTime === 0) media.currentTime = Math.max(now, 1e-3); });
      const found = (there) => { player.hidden = !there; note.hidden = there; };
      media.addEventListener("loadedmetadata", () => found(true));
      media.addEventListener("error", () => found(false));
      if (media.readyState > 0) found(true); else if (media.error) found(false);
    }
    show(0);
    return {
      go(seconds) {
        seek(seconds);
        scrub.focus({ preventScroll: true });
        root.scrollIntoView({ block: player && !player.hidden ? "start" : "center" });
      },
    };
  };

  const ready = (root) => {
    if (!known.has(root)) known.set(root, prepare(root));
    return known.get(root);
  };
  const look = (node) => {
    if (!(node instanceof Element)) return;
    if (node.matches(".ps-script")) node.hidden = false;
    for (const part of node.querySelectorAll(".ps-script")) part.hidden = false;
    if (node.matches(".ps-course")) ready(node);
    for (const root of node.querySelectorAll(".ps-course")) ready(root);
  };

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("button[data-seek]");
    const root = button && document.getElementById(`${button.dataset.course}-course`);
    if (root) ready(root).go(Number(button.dataset.seek));
  });
  const begin = () => {
    look(document.body);
    new MutationObserver((changes) => {
      for (const change of changes) for (const node of change.addedNodes) look(node);
    }).observe(document.body, { childList: true, subtree: true });
  };
  if (document.body) begin(); else document.addEventListener("DOMContentLoaded", begin);
})();
