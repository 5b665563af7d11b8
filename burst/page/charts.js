"use strict";
// Draws what a page's data describes: every chart is a description (kind, axes, series, columns, marks, flags), so the
// report and a live page share this file. The page is readable without it: every number also stands in a table.
const burstCharts = (() => {
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const font = (size, weight = 400) => `${weight} ${size}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
  const digits = (value, n) => String(+value.toFixed(n));

  const whole = (v) => v == null ? "–" : Math.round(v).toLocaleString("en-US");
  const short = (v) => v >= 1e6 ? digits(v / 1e6, 2) + " M" : v >= 1e3 ? digits(v / 1e3, 1) + " k" : digits(v, 2);
  const ms = (v) => v == null ? "–" : v >= 1000 ? +(v / 1000).toPrecision(3) + " s" : v >= 1 ? +v.toPrecision(3) + " ms" : +(v * 1000).toPrecision(3) + " µs";
  const nines = (v) => digits(100 * (1 - Math.pow(10, -v)), v <= 1 ? 0 : Math.ceil(v) - 2 + (v % 1 ? 1 : 0)) + " %";
  const formats = {
    share: [(v) => v == null ? "–" : v.toFixed(2) + " %", (v) => v + " %"],
    count: [whole, short],
    ms: [ms, ms],
    after_go: [(v) => v == null ? "–" : "T+" + v.toFixed(2) + " s", (v) => digits(v, 3) + " s"],
    nines: [(v) => v == null ? "–" : nines(v), nines],
  };
  const long = (axis) => formats[axis.format][0], brief = (axis) => formats[axis.format][1];

  // The deadline, the promised share, and numbered flags for what the journal tells of.
  function overlay(spec) {
    return (u) => {
      const c = u.ctx, k = uPlot.pxRatio, {left, top, width, height} = u.bbox;
      c.save();
      c.font = font(12 * k, 700); c.lineWidth = 1.75 * k; c.textBaseline = "alphabetic";
      const write = (text, x, y, align) => {  // a halo keeps words readable over lines and cells
        c.textAlign = align; c.setLineDash([]); c.lineJoin = "round";
        const line = c.strokeStyle, thick = c.lineWidth;
        c.strokeStyle = css("--card"); c.lineWidth = 4 * k; c.strokeText(text, x, y);
        c.strokeStyle = line; c.lineWidth = thick; c.fillText(text, x, y);
      };
      for (const mark of spec.marks || []) {
        c.strokeStyle = c.fillStyle = css(mark.color);
        c.setLineDash(mark.x != null ? [7 * k, 4 * k] : [2 * k, 3 * k]);
        c.beginPath();
        if (mark.x != null) {
          const x = Math.round(u.valToPos(mark.x, "x", true));
          if (x < left || x > left + width + 1) continue;
          c.moveTo(x, top); c.lineTo(x, top + height); c.stroke();
          const before = x > left + width / 2;
          write(mark.label, x + (before ? -7 : 7) * k, mark.top ? top + (spec.flags && spec.flags.length ? 34 : 13) * k : top + height - 10 * k, before ? "right" : "left");
        } else {
          const y = Math.round(u.valToPos(mark.y, "y", true));
          c.moveTo(left, y); c.lineTo(left + width, y); c.stroke();
          write(mark.label, left + 8 * k, y + 16 * k, "left");
        }
      }
      c.setLineDash([1 * k, 3 * k]); c.lineWidth = k;
      for (const [at, label] of spec.flags || []) {
        const x = Math.round(u.valToPos(at, "x", true));
        if (x < left || x > left + width) continue;
        c.strokeStyle = css("--soft");
        c.beginPath(); c.moveTo(x, top + 9 * k); c.lineTo(x, top + height); c.stroke();
        c.fillStyle = css("--ink");
        c.beginPath(); c.arc(x, top + 9 * k, 8.5 * k, 0, 7); c.fill();
        c.fillStyle = css("--card"); c.textAlign = "center"; c.font = font(11 * k, 700);
        c.fillText(label, x, top + 13 * k);
      }
      c.restore();
    };
  }

  function axes(spec, width) {
    const common = {stroke: () => css("--soft"), grid: {stroke: () => css("--line"), width: 1}, ticks: {show: false}, font: font(12)};
    const x = Object.assign({}, common, {size: 32, space: width < 500 ? 55 : 80, values: (_, at) => at.map(brief(spec.x))});
    if (spec.x.format === "nines") {
      const last = Math.floor(spec.x.range[1]);
      x.splits = () => width > 520 ? [0.30103, ...Array.from({length: last}, (_, i) => i + 1)] : Array.from({length: last}, (_, i) => i + 1).filter((v) => v < 4 || v === last);
      x.filter = (_, at) => at;
    }
    const y = Object.assign({}, common, {size: 58, values: (_, at) => at.map((v) => v == null ? "" : brief(spec.y)(v))});
    if (spec.y.format === "share") y.splits = () => [0, 25, 50, 75, 100];
    if (spec.y.log) {
      y.splits = (u) => {
        const {min, max} = u.scales.y, decades = Math.log10(max / min), out = [];
        const steps = decades < 1.5 ? [1, 2, 3, 5, 7] : decades < 3 ? [1, 2, 5] : [1];
        for (let e = Math.floor(Math.log10(min)); e <= Math.log10(max); e++)
          for (const s of steps) { const v = +(s * Math.pow(10, e)).toPrecision(3); if (v >= min && v <= max) out.push(v); }
        return out;
      };
      y.filter = (_, at) => at;
    }
    return [x, y];
  }

  // Log bounds that fit the data: whole decades would leave half of the picture empty.
  const logBounds = (lists) => {
    let low = Infinity, high = 0;
    for (const list of lists) for (const v of list) if (v != null) { if (v < low) low = v; if (v > high) high = v; }
    return [low / 1.3, high * 1.3];
  };

  function legend(element, entries) {
    const list = document.createElement("ul");
    list.className = "key";
    for (const [label, color, dash, solid] of entries) {
      const item = list.appendChild(document.createElement("li"));
      const sign = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      sign.setAttribute("viewBox", "0 0 28 10"); sign.setAttribute("aria-hidden", "true");
      const mark = sign.appendChild(document.createElementNS(sign.namespaceURI, solid ? "rect" : "path"));
      if (solid) for (const [k, v] of [["x", 8], ["width", 12], ["height", 10], ["rx", 2]]) mark.setAttribute(k, v);
      else { mark.setAttribute("d", "M0 5h28"); mark.setAttribute("stroke-dasharray", (dash || []).join(" ")); }
      mark.style.cssText = solid ? `fill:var(${color})` : `stroke:var(${color});stroke-width:3`;
      item.append(sign, label);
    }
    element.prepend(list);
  }

  // One line of live values under the pointer; empty, it keeps its height, so that nothing jumps.
  function readout(element) {
    const out = element.appendChild(document.createElement("p"));
    out.className = "readout"; out.textContent = "\u00a0";
    return (text) => { out.textContent = text || "\u00a0"; };
  }

  function linePlot(element, spec, width, height, say) {
    const drawn = spec.columns.slice();
    const stacked = spec.series.map((one, i) => one.bars ? i + 1 : 0).filter(Boolean);
    for (let n = 1; n < stacked.length; n++)
      drawn[stacked[n]] = spec.columns[stacked[n]].map((v, i) => v + drawn[stacked[n - 1]][i]);
    const bars = uPlot.paths.bars({size: [0.86, 120], align: 1}), steps = uPlot.paths.stepped({align: 1});
    // The tallest of a stack is drawn first, so the order on the canvas is reversed for bars.
    const order = [...stacked.slice().reverse(), ...spec.series.map((one, i) => one.bars ? 0 : i + 1).filter(Boolean)];
    const series = order.map((i) => {
      const one = spec.series[i - 1];
      return {
        stroke: () => css(one.color), width: one.bars ? 0 : one.width || 2, dash: one.dash && one.dash.length ? one.dash.map((v) => v * uPlot.pxRatio) : undefined,
        fill: one.bars ? () => css(one.color) : one.fill ? () => css(one.color) + "26" : undefined,
        paths: one.bars ? bars : one.step ? steps : undefined, points: {show: false}, spanGaps: true,
      };
    });
    const lists = order.map((i) => drawn[i]);
    return new uPlot({
      width, height, padding: [12, spec.x.format === "nines" ? 32 : 22, 0, 0], legend: {show: false}, axes: axes(spec, width),
      scales: {
        x: {time: false, range: spec.x.range ? () => spec.x.range : undefined},
        y: {distr: spec.y.log ? 3 : 1, range: spec.y.range ? () => spec.y.range : spec.y.log ? () => logBounds(lists) : (_, __, max) => [0, max * 1.12 || 1]},
      },
      series: [{}, ...series],
      cursor: {y: false, drag: {x: false, y: false}, points: {size: 7}},
      hooks: {
        draw: [overlay(spec)],
        setCursor: [(u) => {
          const i = u.cursor.idx;
          say(i == null ? "" : [spec.x.label + " " + long(spec.x)(spec.columns[0][i]),
            ...spec.series.map((one, s) => `${one.label} ${long(spec.y)(spec.columns[s + 1][i])}`)].join(" · "));
        }],
      },
    }, [spec.columns[0], ...lists], element);
  }

  // One ramp from paper to ink, ending in the accent: a rainbow would draw edges that the data does not have.
  function ramp(share) {
    const dark = css("--scheme") === "dark";
    const stops = dark ? [[30, 39, 54], [38, 84, 140], [64, 160, 201], [173, 220, 190], [255, 244, 179]]
      : [[226, 238, 247], [141, 190, 226], [54, 129, 190], [23, 70, 138], [24, 20, 66]];
    const at = share * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
    return `rgb(${stops[i].map((v, n) => Math.round(v + (stops[i + 1][n] - v) * (at - i))).join(",")})`;
  }

  function heatPlot(element, spec, width, height, say) {
    const [from, low, high, count] = spec.columns;
    const peak = count.reduce((a, b) => Math.max(a, b), 1), depth = (n) => Math.log(1 + n) / Math.log(1 + peak);
    const xs = Array.from(new Set(from)).sort((a, b) => a - b);
    const start = Math.min(0, xs[0]), end = xs[xs.length - 1] + spec.step;
    const bounds = logBounds([low, high]);
    const cells = (u) => {
      const c = u.ctx;
      c.save(); c.beginPath(); c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); c.clip();
      for (let i = 0; i < from.length; i++) {
        const x0 = Math.floor(u.valToPos(from[i], "x", true)), x1 = Math.ceil(u.valToPos(from[i] + spec.step, "x", true));
        const y0 = Math.floor(u.valToPos(high[i], "y", true)), y1 = Math.ceil(u.valToPos(low[i], "y", true));
        c.fillStyle = ramp(depth(count[i])); c.fillRect(x0, y0, x1 - x0, y1 - y0);
      }
      c.restore();
    };
    const under = (u) => {
      if (u.cursor.left < 0 || u.cursor.left == null) return "";
      const t = u.posToVal(u.cursor.left, "x"), l = u.posToVal(u.cursor.top, "y");
      const i = from.findIndex((f, n) => t >= f && t < f + spec.step && l >= low[n] && l < high[n]);
      return i < 0 ? `${long(spec.x)(t)} · ${ms(l)}` : `from ${long(spec.x)(from[i])} · ${ms(low[i])} to ${ms(high[i])} · ${whole(count[i])} answers`;
    };
    const chart = new uPlot({
      width, height, padding: [12, 22, 0, 0], legend: {show: false}, axes: axes(spec, width),
      scales: {x: {time: false, range: () => [start, end]}, y: {distr: 3, range: () => bounds}},
      series: [{}, {paths: () => null, points: {show: false}}],
      cursor: {drag: {x: false, y: false}, points: {show: false}},
      hooks: {drawAxes: [cells], draw: [overlay(spec)], setCursor: [(u) => say(under(u))]},
    }, [xs, xs.map(() => bounds[1])], element);
    const scale = document.createElement("p");
    scale.className = "scale";
    const band = document.createElement("i");
    band.style.background = `linear-gradient(90deg,${Array.from({length: 9}, (_, i) => ramp(i / 8)).join(",")})`;
    scale.append("1", band, `${whole(peak)} answers in a cell (log scale)`);
    element.prepend(scale);
    return chart;
  }

  const live = [];

  function draw(element, spec) {
    let chart = null, width = 0;
    const build = (w) => {
      if (chart) chart.destroy();
      element.replaceChildren();
      width = w;
      const height = Math.round(Math.max(220, Math.min(spec.tall ? 430 : 300, w * (spec.tall ? 0.42 : 0.55))));
      const make = spec.kind === "heat" ? heatPlot : linePlot;
      let say = () => {};
      chart = make(element, spec, w, height, (text) => say(text));
      say = readout(element);
      if (spec.kind !== "heat" && spec.series.length > 1) legend(element, spec.series.map((s) => [s.label, s.color, s.dash, s.bars]));
    };
    const rebuild = (w) => build(w || element.clientWidth);
    rebuild();
    new ResizeObserver(() => { if (!root.classList.contains("paper") && Math.abs(element.clientWidth - width) > 1) rebuild(); }).observe(element);
    live.push(rebuild);
    return {update(columns) { spec.columns = columns; rebuild(); }};
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => live.forEach((rebuild) => rebuild()));
  // Paper is light and narrower than most screens: canvases are drawn anew for it, and back afterwards.
  addEventListener("beforeprint", () => { root.classList.add("paper"); live.forEach((rebuild) => rebuild(690)); });
  addEventListener("afterprint", () => { root.classList.remove("paper"); live.forEach((rebuild) => rebuild()); });

  const source = document.getElementById("data");
  const charts = source ? JSON.parse(source.textContent).charts || {} : {};
  for (const [name, spec] of Object.entries(charts)) {
    const element = document.getElementById(name);
    if (element && spec.columns[0].length) draw(element, spec);
  }
  return {draw};
})();
