/** Writes into order tables what follows each command: `bun test/venue/write-tables.ts FILE…` */

import { readFileSync, writeFileSync } from 'node:fs';

import { parseOrderTable } from './order-table';
import { runOrderTable } from './run-table';

for (const path of Bun.argv.slice(2)) {
  const text = readFileSync(path, 'utf8');
  const outcomes = runOrderTable(parseOrderTable(text));
  const lines: string[] = [];
  let step = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue;
    lines.push(line);
    if (line.startsWith('> ')) lines.push(...outcomes[step++]!.map((outcome) => `  ${outcome}`));
  }
  writeFileSync(path, lines.join('\n'));
}
