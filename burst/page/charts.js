"use strict";
// Draws what the page's data describes. Each entry names its element, its kind and its columns; the page is readable
// without this script, for every number also stands in a table.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = () => css("--ink"), soft = () => css("--soft"), line = () => css("--line");
  const grouped = (value) => value == null ? "–" : Math.round(value).toLocaleString("en-US");
  const short = (value) => value >= 1e6 ? +(value / 1e6).toFixed(2) + " M" : value >= 1e3 ? +(value / 1e3).toFixed(1) + " k" : String(+value.toFixed(2));
  const ms = (value) => value == null ? "–" : value >= 1000 ? +(value / 1000).toPrecision(3) + " s" : value >= 1 ? +value.toPrecision(3) + " ms" : +(value * 1000).toPrecision(3) + " µs";
  const nines = (value) => value === 0 ? "0 %" : value < 1 ? +(100 * (1 - Math.pow(10, -value))).toFixed(0) + " %" : +(100 * (1 - Math.pow(10, -value))).toFixed(Math.max(0, Math.ceil(value) - 2)) + " %";
  const formats = {share: (v) => v == null ? "–" : v.toFixed(2) + " %", count: grouped, ms, seconds: (v) => v == null ? "–" : "T+" + v.toFixed(2) + " s", nines: (v) => v == null ? "–" : nines(v)};

  // A vertical and a horizontal line with their words: the deadline, and the share that was promised.
  const marks = (spec) => ({hooks: {draw: [(u) => {
    const c = u.ctx, ratio = devicePixelRatio, box = u.bbox;
    c.save(); c.lineWidth = 1.5 * ratio; c.setLineDash([6 * ratio, 4 * ratio]); c.font = `600 ${12 * ratio}px system-ui`;
    for (const mark of spec.marks || []) {
      c.strokeStyle = c.fillStyle = css(mark.color || "--nogo");
      c.beginPath();
      if (mark.x != null) {
        const x = Math.round(u.valToPos(mark.x, "x", true));
        if (x < box.left || x > box.left + box.width) continue;
        c.moveTo(x, box.top); c.lineTo(x, box.top + box.height); c.stroke();
        const left = x > box.left + box.width / 2;
        c.textAlign = left ? "right" : "left";
        c.fillText(mark.label, x + (left ? -6 : 6) * ratio, box.top + box.height - 8 * ratio);
      } else {
        const y = Math.round(u.valToPos(mark.y, "y", true));
        c.moveTo(box.left, y); c.lineTo(box.left + box.width, y); c.stroke();
        c.textAlign = "left"; c.fillText(mark.label, box.left + 6 * ratio, y + 15 * ratio);
      }
    }
    c.restore();
  }]}});

  const plot = (element, spec) => {
    const bars = uPlot.paths.bars({size: [0.9, 40], align: 1});
    const series = [{label: spec.x.label, value: (_, v) => formats[spec.x.format](v)}].concat(spec.series.map((one) => ({
      label: one.label, stroke: () => css(one.color), width: one.width || 2, points: {show: false}, spanGaps: true,
      fill: one.fill ? () => css(one.color) + "2e" : undefined, paths: one.bars ? bars : undefined,
      dash: one.dash, value: (_, v) => formats[spec.y.format](v)})));
    const axis = {stroke: soft, grid: {stroke: line, width: 1}, ticks: {stroke: line, width: 1}, font: "12px system-ui"};
    const options = {
      width: element.clientWidth, height: Math.max(200, Math.min(300, element.clientWidth * 0.55)),
      scales: {x: {time: false, range: spec.x.range ? () => spec.x.range : undefined},
               y: {distr: spec.y.log ? 3 : 1, range: spec.y.range ? () => spec.y.range : undefined}},
      axes: [Object.assign({}, axis, {values: (_, ticks) => ticks.map((v) => spec.x.format === "nines" ? (Number.isInteger(v) ? nines(v) : "") : short(v) + (spec.x.unit || ""))}),
             Object.assign({}, axis, {size: 58, values: (_, ticks) => ticks.map((v) => v == null ? "" : spec.y.format === "share" ? v + " %" : spec.y.format === "ms" ? (/^1|^[0.]*1/.test(String(v)) ? ms(v) : "") : short(v))})],
      series, plugins: [marks(spec)], cursor: {drag: {x: true, y: false}}, legend: {live: true},
    };
    const chart = new uPlot(options, spec.columns, element);
    const resize = () => chart.setSize({width: element.clientWidth, height: options.height});
    new ResizeObserver(resize).observe(element);
    const redraw = () => chart.redraw(false, true);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    addEventListener("beforeprint", redraw); addEventListener("afterprint", redraw);
  };

  const heat = (element, spec) => {
    const canvas = element.appendChild(document.createElement("canvas"));
    canvas.className = "heat";
    const dark = matchMedia("(prefers-color-scheme: dark)");
    // One hue, from paper to ink: a rainbow would draw edges that the data does not have.
    const color = (share) => dark.matches ? `hsl(${228 - 33 * share} ${45 + 45 * share}% ${19 + 58 * share}%)` : `hsl(${205 + 20 * share} ${60 + 20 * share}% ${91 - 63 * share}%)`;
    const draw = () => {
      const ratio = devicePixelRatio || 1, width = element.clientWidth, height = 260, left = 58, bottom = 24;
      canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = height + "px";
      const c = canvas.getContext("2d"); c.scale(ratio, ratio); c.clearRect(0, 0, width, height);
      const [times, latencies, counts] = spec.columns;
      // Eight linear steps to a doubling, as the recorder cuts them.
      const level = (us) => { const v = Math.max(us, 1), o = Math.floor(Math.log2(v) + 1e-9); return 8 * (o + v / Math.pow(2, o) - 1); };
      const t0 = Math.min(...times), t1 = Math.max(...times) + spec.bin;
      const l0 = Math.floor(Math.min(...latencies.map(level))), l1 = Math.ceil(Math.max(...latencies.map(level))) + 1;
      const peak = Math.log(1 + Math.max(...counts));
      const x = (t) => left + (width - left - 8) * (t - t0) / (t1 - t0), y = (l) => (height - bottom) * (1 - (l - l0) / (l1 - l0));
      times.forEach((t, i) => {
        const l = Math.round(level(latencies[i]));
        c.fillStyle = color(Math.log(1 + counts[i]) / peak);
        c.fillRect(x(t), y(l + 1), Math.ceil(x(t + spec.bin) - x(t)), Math.ceil(y(l) - y(l + 1)));
      });
      c.fillStyle = soft(); c.font = "12px system-ui"; c.textAlign = "right";
      for (let us = 1; us <= 3.6e9; us *= 10) { const at = level(us); if (at >= l0 && at <= l1) { c.fillText(ms(us / 1000), left - 6, y(at) + 4); c.fillRect(left - 4, y(at), 4, 1); } }
      if (l1 - l0 < 27) c.fillText(ms(Math.pow(2, l0 >> 3) * (1 + (l0 & 7) / 8) / 1000), left - 6, y(l0) - 2);
      c.textAlign = "center";
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600].find((s) => (t1 - t0) / s <= Math.max(3, width / 90)) || 3600;
      for (let t = Math.ceil(t0 / step) * step; t <= t1; t += step) c.fillText(+t.toFixed(1) + " s", Math.min(x(t), width - 14), height - 6);
    };
    draw(); new ResizeObserver(draw).observe(element); dark.addEventListener("change", draw);
    const legend = element.parentNode.appendChild(document.createElement("div"));
    legend.className = "legend";
    const ramp = Array.from({length: 9}, (_, i) => color(i / 8)).join(",");
    legend.innerHTML = `<span>1</span><i style="background:linear-gradient(90deg,${ramp})"></i><span>${grouped(Math.max(...spec.columns[2]))} answers in a cell (log)</span>`;
  };

  for (const [name, spec] of Object.entries(data.charts || {})) {
    const element = document.getElementById(name);
    if (element && spec.columns[0].length) (spec.kind === "heat" ? heat : plot)(element, spec);
  }
})();
