/**
 * Every table in fixtures/orders, on the venue and on its oracle: both must give what the table says. `bun
 * test/venue/run-table.ts FILE…` writes the results into a table; check them before you keep it.
 */

import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseOrderTable } from './order-table';
import { runOrderTable } from './run-table';

const FOLDER = join(import.meta.dir, '../../fixtures/orders');
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

describe('[V1] order tables', () => {
  test('there are tables', () => {
    expect(FILES.length).toBeGreaterThan(15);
  });

  for (const name of FILES) {
    test(name, () => {
      const table = parseOrderTable(readFileSync(join(FOLDER, name), 'utf8'));
      const outcomes = runOrderTable(table);
      for (const [i, step] of table.steps.entries()) {
        const asText = (events: string[]): string =>
          [`${step.line}> ${step.text}`, ...events].join('\n');
        expect(asText(outcomes[i]!)).toBe(asText(step.expected));
      }
    });
  }
});
