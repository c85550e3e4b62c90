"""How the page of a report looks, in light and in dark and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0; --paper: #ffffff; --band: #f4f6f8;
  --warn: #fff4d6; --warn-line: #d4a72c; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa5b1; --line: #3a424b; --paper: #14181c;
  --band: #1d2329; --warn: #3a3118; --warn-line: #a88532; --link: #7ab8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 28px 80px; max-width: 1240px; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.75rem; margin: 0 0 4px; line-height: 1.25; }
h2 { font-size: 1.35rem; margin: 48px 0 8px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 1.08rem; margin: 28px 0 6px; }
p { margin: 6px 0 10px; max-width: 78ch; }
a { color: var(--link); }
.soft, figcaption, .note { color: var(--soft); font-size: 0.88rem; }
.note { max-width: 100ch; margin: 6px 0 18px; }
nav ul { columns: 2; column-gap: 40px; padding-left: 18px; max-width: 900px; }
.caution { background: var(--warn); border-left: 4px solid var(--warn-line); padding: 8px 14px; margin: 10px 0;
  max-width: 100ch; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 26px 28px;
  align-items: start; }
.figures.wide { grid-template-columns: 1fr; }
figure { margin: 0; min-width: 0; }
figure h4 { margin: 0 0 2px; font-size: 1rem; }
.heatmap { width: 100%; height: auto; display: block; margin-top: 4px; }
.heatmap text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
.heatmap .none { fill: none; stroke: var(--line); stroke-dasharray: 3 3; }
.scale { height: 10px; width: 220px; border-radius: 2px; }
.scroll { overflow-x: auto; margin: 8px 0; }
table { border-collapse: collapse; font-size: 0.83rem; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 7px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; }
th.group { text-align: center; border-left: 1px solid var(--line); }
td.stub, th.stub { text-align: left; }
td.stub:first-child, th.stub:first-child { position: sticky; left: 0; background: var(--paper); }
tr.block th { text-align: left; background: var(--band); font-style: italic; font-weight: 500; }
tbody tr:hover td { background: var(--band); }
td small { color: var(--soft); font-size: 0.82em; }
.square td { vertical-align: top; }
.square small { display: block; line-height: 1; }
details { margin: 12px 0; }
summary { cursor: pointer; font-weight: 600; padding: 4px 0; }
dl { display: grid; grid-template-columns: minmax(120px, max-content) 1fr; gap: 3px 18px; max-width: 100ch; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
.concept { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 28px; padding: 14px 0;
  border-bottom: 1px solid var(--line); }
.concept > p { grid-column: 1 / -1; margin: 0; max-width: none; }
.samples { display: flex; flex-wrap: wrap; gap: 8px; }
.samples figure { width: 104px; }
.samples img { display: block; width: 96px; height: 72px; object-fit: contain; background: var(--band); }
.samples figcaption { font-size: 0.72rem; line-height: 1.25; overflow-wrap: anywhere; }
@media (max-width: 760px) { .concept { grid-template-columns: 1fr; } nav ul { columns: 1; } }
@media print { body { max-width: none; padding: 0; } figure, tr, .concept { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; } }
"""
