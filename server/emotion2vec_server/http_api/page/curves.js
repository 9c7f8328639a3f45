// Draws scores over time as curves: a row a label, full height for a probability of 1.

import { colorOf } from "./colors.js";

/** `means` as `frames.columnMeans` gives them, into `box` {top, row, gap}. */
export function drawCurves(context, labels, means, view, box) {
  labels.forEach((label, row) => {
    const bottom = box.top + row * (box.row + box.gap) + box.row;
    const heightAt = (pixel) => bottom - means[pixel * labels.length + row] * box.row;
    const area = new Path2D(), line = new Path2D();
    let inside = false;
    for (let pixel = 0; pixel <= view.width; pixel++) {
      const height = pixel < view.width ? heightAt(pixel) : NaN;
      if (Number.isNaN(height)) {
        if (inside) area.lineTo(pixel, bottom);
        inside = false;
        continue;
      }
      if (!inside) {
        area.moveTo(pixel, bottom);
        line.moveTo(pixel, height);
      }
      area.lineTo(pixel, height);
      line.lineTo(pixel, height);
      inside = true;
    }
    context.fillStyle = context.strokeStyle = colorOf(label, row);
    context.globalAlpha = 0.45;
    context.fill(area);
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.stroke(line);
  });
}
