"""How the page looks, and the few lines of script that keep it fresh."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --ink: #16202e; --soft: #55617a; --line: #d9dfe8; --paper: #fff; --ground: #f3f5f9;
  --blue: #0b5cab; --blue-soft: #e6f0fb; --red: #a61b1b; --red-soft: #fdecea; --green: #1b6e3c; --green-soft: #e6f5ec }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf5; --soft: #a9b4c6; --line: #36425a; --paper: #1b2433;
  --ground: #111824; --blue: #8ec2ff; --blue-soft: #20344f; --red: #ff9c94; --red-soft: #46211f; --green: #86d7a4;
  --green-soft: #1b3a29 } }
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Open Sans", sans-serif; color: var(--ink);
  background: var(--ground) }
a { color: var(--blue) }
a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible, textarea:focus-visible,
  summary:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px }
.skip { position: absolute; left: -99em }
.skip:focus { position: static }
header { background: var(--paper); border-bottom: 1px solid var(--line); padding: .9rem 1.5rem;
  padding-left: max(1.5rem, calc((100% - 81rem) / 2)) }
header p { margin: 0; color: var(--soft) }
header .name { font-size: 1.25rem; font-weight: 700; color: var(--ink) }
header nav { margin-top: .35rem }
nav a { margin-right: 1.2rem }
nav a[aria-current] { font-weight: 700; text-decoration: none; color: var(--ink) }
main { max-width: 84rem; margin: 0 auto; padding: 1.2rem 1.5rem 3rem }
h1 { font-size: 1.5rem; margin: .2rem 0 1rem }
h2 { font-size: 1.1rem; margin: 0 0 .6rem }
.columns { display: grid; gap: 1.2rem; align-items: start }
@media (min-width: 68rem) { .columns { grid-template-columns: minmax(21rem, 2fr) minmax(0, 3fr) } }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.2rem;
  margin-bottom: 1.2rem; overflow-x: auto }
.figures { display: flex; flex-wrap: wrap; gap: .6rem 2.4rem; margin: 0 }
.figures div { min-width: 8rem }
dt { color: var(--soft); font-size: .85rem }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere }
meter { width: 10rem; display: block }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: baseline }
tr:last-child > td, tr:last-child > th { border-bottom: 0 }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600 }
tbody th { font-weight: 500 }
.number { text-align: right; font-variant-numeric: tabular-nums }
.quiet { color: var(--soft) }
.line { white-space: nowrap }
.row { display: flex; flex-wrap: wrap; gap: .8rem; align-items: center; margin: -.4rem 0 1.2rem }
code, pre { font: .85em/1.5 ui-monospace, "Cascadia Mono", Menlo, monospace; overflow-wrap: anywhere }
pre { white-space: pre-wrap; margin: .4rem 0 0 }
form { display: inline }
button { font: inherit; padding: .2rem .8rem; border: 1px solid var(--blue); border-radius: .35rem; cursor: pointer;
  background: var(--paper); color: var(--blue) }
button:hover { background: var(--blue-soft) }
button.danger { border-color: var(--red); color: var(--red) }
button.danger:hover { background: var(--red-soft) }
input, select, textarea { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--soft);
  border-radius: .35rem; padding: .2rem .5rem; max-width: 100% }
textarea { width: 30rem; height: 6rem }
details.edit form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: .4rem 0 }
details.edit label { display: block; color: var(--soft); font-size: .85rem }
.tag { border-radius: .3rem; padding: .05rem .45rem; font-size: .8rem; font-weight: 600; white-space: nowrap;
  background: var(--blue-soft); color: var(--blue) }
.tag.bad { background: var(--red-soft); color: var(--red) }
.tag.good { background: var(--green-soft); color: var(--green) }
.notice { border-radius: .5rem; padding: .7rem 1.2rem; margin: 0 0 1.2rem; background: var(--green-soft);
  color: var(--green); font-weight: 600 }
.notice.bad { background: var(--red-soft); color: var(--red) }
h3 { font-size: 1rem; margin: 1rem 0 .3rem }
h3:first-of-type { margin-top: 0 }
h3 .quiet { font-weight: 400; font-size: .85rem }
""".strip()

SCRIPT = """
(async () => {
  const live = () => document.querySelectorAll("[data-live]");
  if (!live().length) return;
  let seen = document.body.dataset.seen;
  for (;;) {
    try {
      const news = await fetch("/__localcloud__/page/news?seen=" + seen);
      if (!news.ok) return;
      seen = await news.text();
      const page = await (await fetch(location.href)).text();
      const main = page.slice(page.indexOf("<main"), page.lastIndexOf("</main>"));
      const fresh = new DOMParser().parseFromString(main, "text/html");
      for (const old of live()) {
        const now = fresh.getElementById(old.id);
        if (now && now.innerHTML !== old.innerHTML && !old.contains(document.activeElement)
            && !old.querySelector("details[open]")) old.replaceWith(now);
      }
    } catch { await new Promise(again => setTimeout(again, 2000)); }
  }
})();
""".strip()
"""Waits for the server to say that something happened, and puts the parts marked `data-live` in anew."""
