import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

import { NaiveInstrument, type Outcome } from './naive-book';
import { all, opened } from './support';

const DIRECTORY = join(import.meta.dir, '../../fixtures/tapes');
const TAPES = readdirSync(DIRECTORY).filter((name) => /\.(ndjson|txt)$/.test(name));

describe('tapes', () => {
  test('there are tapes', () => {
    expect(TAPES.length).toBeGreaterThanOrEqual(9);
  });

  test.each(TAPES)(
    '%s: a naive book that follows the reader gives the expected outcome',
    async (name) => {
      const recording = await opened(join(DIRECTORY, name), { onFault: 'skip' });
      const { records } = await all(recording);
      const instruments = new Map<string, NaiveInstrument>();
      for (const event of records.flatMap((r) => r.events)) {
        if (event.type === 'instrument') instruments.set(event.symbol, new NaiveInstrument(event));
        else instruments.get(event.symbol)!.apply(event);
      }
      const outcome: Outcome = { books: {}, trades: {}, last: {}, volume: {} };
      for (const instrument of instruments.values()) instrument.addTo(outcome);
      const { refused: faults, skipped } = recording.progress();
      const expected = join(DIRECTORY, `${basename(name, extname(name))}.expected.json`);
      expect({ ...outcome, faults, skipped }).toEqual(JSON.parse(readFileSync(expected, 'utf8')));
    },
  );
});
