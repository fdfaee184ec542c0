/** Table: results for people, in aligned columns. */

import type { BenchResult } from './harness';

export function table(results: readonly BenchResult[]): string {
  const rows = results.map((r) => [
    r.bench,
    r.case,
    figure(r.value),
    r.unit,
    r.ratio === undefined ? '' : `${r.ratio.toFixed(2)} ×`,
    r.baseline === undefined ? '' : `${r.baseline}: ${figure(r.baselineValue!)}`,
  ]);
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...rows.map((row) => row[column]!.length)),
  );
  const lines = rows.map((row) =>
    row
      .map((text, column) => {
        const width = widths[column] ?? 0;
        return column === 2 || column === 4 ? text.padStart(width) : text.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** Three significant digits below 1000, whole numbers with grouped digits above. */
function figure(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString('en-US')
    : String(Number(value.toPrecision(3)));
}
