"use strict";
// What long work says is also said to screen readers: each stage once, not every tenth of a percent.
(() => {
  const begin = () => {
    const heard = document.createElement("div");
    heard.className = "ps-spoken";
    heard.setAttribute("role", "status");
    document.body.append(heard);
    let last = "";
    const look = () => {
      for (const part of document.querySelectorAll(".ps-says [data-say]")) {
        if (part.dataset.say !== last && part.dataset.heard !== "yes") {
          last = part.dataset.say;
          heard.textContent = last;
        }
        part.dataset.heard = "yes";
      }
    };
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  };
  if (document.body) begin(); else document.addEventListener("DOMContentLoaded", begin);
})();
