// The latest values of each metric as a small line. uPlot is loaded only where there is something to draw.
import { html, useEffect, useRef } from "./html.js";
import { figure } from "./words.js";

const HEIGHT = 72;
let loaded = null;
const plotter = () => (loaded ??= import("./vendor/uplot.mjs").then((module) => module.default));

export function Charts({ samples, score }) {
  const names = Object.keys(samples).filter((name) => samples[name].length > 1);
  if (!names.length) return ""; // two samples make a line
  return html`<section class="card" aria-labelledby="charts-title">
    <div class="card-head"><h2 id="charts-title">Metrics</h2></div>
    <div class="charts">${names.map((name) => html`<${Chart} key=${name} name=${name} points=${samples[name]} row=${score.find((one) => one.metric === name)} />`)}</div>
  </section>`;
}

function Chart({ name, points, row }) {
  const place = useRef(null);
  const chart = useRef(null);
  const values = points.map(([, value]) => value);
  const data = [points.map(([ms]) => ms / 1000), values];
  useEffect(() => {
    let gone = false;
    const draw = async () => {
      const uPlot = await plotter();
      if (gone || !place.current) return;
      chart.current?.destroy();
      chart.current = new uPlot(optionsFor(place.current), data, place.current);
    };
    draw();
    const resized = new ResizeObserver(() => chart.current?.setSize({ width: place.current.clientWidth, height: HEIGHT }));
    resized.observe(place.current);
    addEventListener("themechange", draw);
    return () => {
      gone = true;
      resized.disconnect();
      removeEventListener("themechange", draw);
      chart.current?.destroy();
    };
  }, []);
  useEffect(() => chart.current?.setData(data), [points]);
  const bounds = `${figure(Math.min(...values))} to ${figure(Math.max(...values))}`;
  return html`<figure class="chart">
    <figcaption><span class="mono">${name}</span><strong>${figure(values.at(-1))}</strong><span class="hint">${bounds}${row?.warn ? `, warn at ${figure(row.warn)}` : ""}</span></figcaption>
    <div ref=${place} class="plot" aria-hidden="true"></div>
  </figure>`;
}

function optionsFor(element) {
  const style = getComputedStyle(document.documentElement);
  const line = style.getPropertyValue("--line-strong").trim();
  const area = style.getPropertyValue("--line-soft").trim();
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [6, 2, 6, 2],
    cursor: { show: false },
    legend: { show: false },
    axes: [{ show: false }, { show: false }],
    scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low), high > low ? high * 1.1 : low + 1] } },
    series: [{}, { stroke: line, fill: area, width: 1.5, points: { show: false } }],
  };
}
