// Brings an open page up to date when the server says that it changed, counts
// down, and copies addresses. Every page works without it.
"use strict";
(() => {
  const again = 5000; // as often as without a script
  let stream, timer, asking;

  // swap takes over what is new, piece by piece, so that focus, what is folded
  // out and what a screen reader follows stay.
  const swap = (fresh) => {
    const main = document.querySelector("main");
    const pieces = (of) => [...of.querySelectorAll("[data-piece]")];
    const old = pieces(main), now = pieces(fresh);
    const names = (list) => list.map((p) => p.dataset.piece).join();
    if (now.length && names(old) === names(now)) {
      old.forEach((p, i) => { if (p.innerHTML !== now[i].innerHTML) p.replaceChildren(...now[i].childNodes); });
      if (fresh.hasAttribute("data-live")) main.dataset.live = fresh.dataset.live;
      else main.removeAttribute("data-live");
    } else {
      main.replaceWith(fresh);
    }
    begin();
  };

  const ask = async () => {
    if (asking) return;
    asking = true;
    try {
      const r = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (r.redirected) return location.assign(r.url);
      if (!r.ok && r.status < 500) return location.reload();
      if (r.ok) {
        const page = new DOMParser().parseFromString(await r.text(), "text/html");
        document.title = page.title;
        swap(page.querySelector("main"));
      }
    } catch { /* no connection: the next time */ } finally { asking = false; }
  };

  const listen = (address) => {
    stream = new EventSource(address);
    stream.onmessage = ask;
    stream.onerror = () => { // closed for good: there was no place, or no session
      if (stream.readyState === EventSource.CLOSED && !timer) timer = setInterval(ask, again);
    };
  };

  const stop = () => { stream?.close(); clearInterval(timer); stream = timer = undefined; };

  // begin looks at the page as it is now.
  const begin = () => {
    const main = document.querySelector("main");
    if (!main.hasAttribute("data-live")) stop();
    else if (!stream) listen(main.dataset.live);
    for (const t of document.querySelectorAll("[data-left]")) {
      t.end = Date.now() + 1000 * t.dataset.left;
      t.removeAttribute("data-left");
      t.classList.add("timer", "counting");
    }
    for (const b of document.querySelectorAll("button[data-copy]")) b.hidden = !navigator.clipboard;
    tick();
  };

  const tick = () => {
    for (const t of document.querySelectorAll(".counting")) {
      const left = Math.max(0, Math.round((t.end - Date.now()) / 1000));
      t.textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
      if (left === 0) { t.classList.remove("counting"); ask(); }
    }
  };

  if (navigator.maxTouchPoints > 1) { // an iPad that says it is a Mac
    for (const d of document.querySelectorAll("details[data-touch]")) d.open = true;
  }
  document.addEventListener("click", async (e) => {
    const b = e.target.closest("button[data-copy]");
    if (!b) return;
    const field = document.getElementById(b.dataset.copy);
    field.select();
    try { await navigator.clipboard.writeText(field.value); b.textContent = "Copied"; } catch { /* it is selected */ }
  });
  const back = () => {
    if (!document.querySelector("main").hasAttribute("data-live")) return;
    if (!timer && stream?.readyState === EventSource.CLOSED) stop(); // and listen anew
    ask();
  };
  document.addEventListener("visibilitychange", () => document.hidden || back()); // back from Settings
  addEventListener("pageshow", (e) => e.persisted && back());
  setInterval(back, 6 * again); // a stream may end without a word while a profile is fetched
  setInterval(tick, 1000);
  begin();
})();
