// What the frame adds to Gradio's page: tabs as screen readers and keyboards expect them, and a word when the server is gone.
"use strict";
(() => {
  const EVERY_MS = 4000;

  // ---- tabs: names for the panels; arrow keys move between the tabs
  function nameThePanels() {
    for (const tab of document.querySelectorAll("#ps-tabs [role=tab]")) {
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      if (panel && panel.getAttribute("aria-labelledby") !== tab.id) panel.setAttribute("aria-labelledby", tab.id);
    }
  }
  // what changes in an element of the class ps-announced is read out
  function announce() {
    for (const part of document.querySelectorAll(".ps-announced:not([aria-live])")) part.setAttribute("aria-live", "polite");
  }
  function onKey(event) {
    const tab = event.target.closest?.("#ps-tabs [role=tab]");
    if (!tab) return;
    const all = [...tab.parentElement.querySelectorAll("[role=tab]")];
    const at = all.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = all[(to + all.length) % all.length];
    next.focus();
    next.click();
  }
  document.addEventListener("keydown", onKey);
  new MutationObserver(() => {
    nameThePanels();
    announce();
  }).observe(document.documentElement, { childList: true, subtree: true });

  // ---- the skip link: what it names gets the focus, too
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.(".ps-skip")) return;
    event.preventDefault();
    document.querySelector("#ps-tabs [role=tab][aria-selected=true]")?.focus();
  });

  // ---- a file that is too large: said before it is sent, and it stays to be read (Gradio's own word goes by itself)
  function sizes(event) {
    const files = [...(event.type === "drop" ? event.dataTransfer?.files ?? [] : event.target.files ?? [])];
    const part = event.target.closest?.(".block");
    if (!part || !files.length) return;
    if (part.nextElementSibling?.classList.contains("ps-refused")) part.nextElementSibling.remove();
    const most = window.gradio_config?.max_file_size ?? Infinity;
    const large = files.find((file) => file.size > most);
    if (!large) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "drop") event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
    else event.target.value = "";
    const said = document.createElement("p");
    said.className = "ps-refused";
    said.setAttribute("role", "alert");
    const mb = (bytes) => `${Math.round(bytes / 1e5) / 10} MB`;
    said.textContent = `${large.name} has ${mb(large.size)}, and this page takes up to ${mb(most)}. Choose a shorter or smaller recording, or start painsense demo with a larger --max-mb.`;
    part.after(said);
  }
  for (const kind of ["change", "drop"]) document.addEventListener(kind, sizes, true);

  // ---- is the server there, and does it still know this page?
  const WORDS = {
    gone: "The server cannot be reached: it was stopped, or the network is down. What you see stays as long as this page is open. Start painsense demo again, then load this page.",
    ended: "This page was out of touch for too long, and its data has been removed. Load it again to go on.",
    login: "Your login has run out. Load the page again to enter the password.",
  };
  let failures = 0;
  function tell(what) {
    const box = document.getElementById("ps-trouble");
    if (!box || box.dataset.what === what) return;
    box.dataset.what = what;
    box.hidden = what === "";
    box.replaceChildren();
    if (what === "") return;
    const text = document.createElement("p");
    text.textContent = WORDS[what];
    const again = document.createElement("button");
    again.className = "ps-trouble-again";
    again.textContent = "Load this page again";
    again.addEventListener("click", () => location.reload());
    box.append(text, again);
  }
  async function look() {
    const id = document.getElementById("painsense-session")?.dataset.id;
    if (id && !document.hidden) {
      try {
        const answer = await fetch(`/session/${id}/alive`, { method: "HEAD", cache: "no-store" });
        failures = 0;
        tell(answer.ok ? "" : answer.status === 401 ? "login" : "ended");
      } catch {
        failures += 1;
        if (failures > 1) tell("gone");
      }
    }
    setTimeout(look, EVERY_MS);
  }
  setTimeout(look, EVERY_MS);
})();
