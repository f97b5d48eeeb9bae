"use strict";
// Runs in the browser's audio thread: the microphone as 16 kHz mono in blocks of 50 ms, none of them ever dropped.
// The page loads this file, too, with all others; there it does nothing.
if (typeof registerProcessor === "function") {
  const RATE = 16000, BLOCK = 800, LOBES = 16, FINE = 64;

  // A windowed sinc that passes what 16 kHz can hold, sampled FINE times for each input sample.
  const lowPass = (rate) => {
    const reach = Math.ceil(LOBES * rate / RATE), cut = 0.9 * RATE / rate;
    const taps = new Float32Array(2 * reach * FINE + 2);
    for (let k = 0; k < taps.length; k++) {
      const at = k / FINE - reach, x = Math.PI * cut * at;
      const window = Math.abs(at) < reach ? Math.cos((Math.PI * at) / (2 * reach)) ** 2 : 0;
      taps[k] = cut * window * (x === 0 ? 1 : Math.sin(x) / x);
    }
    return { reach, taps };
  };

  registerProcessor("painsense-sound", class extends AudioWorkletProcessor {
    constructor() {
      super();
      this.step = sampleRate / RATE;
      this.filter = this.step === 1 ? null : lowPass(sampleRate);
      this.kept = new Float32Array(this.filter ? 2 * this.filter.reach : 0);
      this.next = 0; // where in this.kept the next output sample is taken
      this.block = new Int16Array(BLOCK);
      this.filled = 0;
      this.sent = 0; // samples before this block
    }

    process([channels]) {
      const length = channels.length ? channels[0].length : 128; // a microphone that gives nothing is silent
      const mono = new Float32Array(length);
      for (const channel of channels) for (let k = 0; k < length; k++) mono[k] += channel[k] / channels.length;
      if (!this.filter) for (const value of mono) this.give(value);
      else this.resample(mono);
      return true;
    }

    resample(mono) {
      const { reach, taps } = this.filter;
      const y = new Float32Array(this.kept.length + mono.length);
      y.set(this.kept);
      y.set(mono, this.kept.length);
      let at = this.next;
      for (; at + 2 * reach < y.length; at += this.step) {
        const first = Math.ceil(at);
        let sum = 0;
        for (let k = first; k < at + 2 * reach; k++) sum += y[k] * taps[Math.round((k - at) * FINE)];
        this.give(sum);
      }
      const done = Math.floor(at);
      this.kept = y.slice(done);
      this.next = at - done;
    }

    give(value) {
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
      if (this.filled < BLOCK) return;
      this.port.postMessage({ start: this.sent, rate: RATE, samples: this.block }, [this.block.buffer]);
      this.sent += BLOCK;
      this.block = new Int16Array(BLOCK);
      this.filled = 0;
    }
  });
}
