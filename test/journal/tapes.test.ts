/** The tapes of `fixtures/`, end to end: reader, sequencer, market and a real journal. */

import { afterAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

import { formatLevels, toJson } from '../../protocol/json';
import { formatSum } from '../../protocol/sums';
import { formatDecimal } from '../../protocol/units';
import { openRecording } from '../../src/ingest/recording/recording';
import { Reader } from '../support/reader';
import { ScratchDirectory } from '../support/scratch-directory';
import { eventsOf, record, type Recording } from '../support/test-recorder';

const DIRECTORY = join(import.meta.dir, '../../fixtures/tapes');
const TAPES = readdirSync(DIRECTORY).filter((name) => /\.(ndjson|txt)$/.test(name));
const SOURCE = 1;

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

type Outcome = Record<'books' | 'trades' | 'last' | 'volume', Record<string, unknown>>;

/** The content of a market and its journal, in the form of the expected outcomes. */
function outcomeOf({ recorder }: Recording): Outcome {
  const outcome: Outcome = { books: {}, trades: {}, last: {}, volume: {} };
  for (const instrument of recorder.market.all()) {
    const { definition } = instrument;
    const { symbol, priceScale, quantityScale } = definition;
    const view = instrument.bookView();
    outcome.books[symbol] = {
      state: view === null ? 'incomplete' : 'live',
      bids: formatLevels(view?.bids ?? [], definition),
      asks: formatLevels(view?.asks ?? [], definition),
    };
    const trades = recorder.journal.trades(symbol, Number.MAX_SAFE_INTEGER, 1000).reverse();
    outcome.trades[symbol] = trades.map((t) => {
      const { price, quantity, aggressor, tradeId, eventTime } = toJson(t, () => definition);
      return { price, quantity, aggressor, tradeId, eventTime };
    });
    const tick = instrument.currentTick();
    outcome.last[symbol] = tick === null ? null : formatDecimal(tick.last, priceScale);
    outcome.volume[symbol] = formatSum(tick?.volume ?? 0, quantityScale);
  }
  return outcome;
}

/** Imports a tape into a recorder, `size` lines in each turn of the loop. */
async function importTape(name: string, into: Recording, size: number): Promise<object> {
  const recording = await openRecording(join(DIRECTORY, name), { onFault: 'skip' });
  if ('code' in recording) throw new Error(recording.message);
  const { sequencer } = into.recorder;
  let lines = 0;
  for await (const { records } of recording) {
    for (const { events, receiveTime } of records) {
      sequencer.submit(SOURCE, events, (r) => expect('seq' in r).toBe(true), { receiveTime });
      lines += 1;
      if (lines % size === 0) sequencer.drain();
    }
  }
  sequencer.drain();
  const { refused: faults, skipped } = recording.progress();
  return { faults, skipped };
}

describe('tapes', () => {
  for (const name of TAPES) {
    const expected = join(DIRECTORY, `${basename(name, extname(name))}.expected.json`);
    const { faults, skipped, ...outcome } = JSON.parse(
      readFileSync(expected, 'utf8'),
    ) as Outcome & {
      faults: number;
      skipped: number;
    };

    test.each([1, 1000])(`${name}, %i lines a batch`, async (size) => {
      const directory = scratch.fresh();
      const first = record(directory);
      expect(await importTape(name, first, size)).toEqual({ faults, skipped });
      expect(outcomeOf(first)).toEqual(outcome);

      // A reader of everything published has the same books.
      const reader = new Reader();
      for (const batch of first.batches) reader.take(eventsOf([batch]) as never);
      for (const instrument of first.recorder.market.all()) {
        const { bids, asks } = reader.book(instrument.definition.symbol);
        const view = instrument.bookView() ?? { bids: [], asks: [] };
        expect({ bids, asks }).toEqual({ bids: [...view.bids], asks: [...view.asks] });
      }

      // So does a market that starts after a crash, or after an orderly end.
      const crashed = record(scratch.copyOf(directory));
      expect(outcomeOf(crashed)).toEqual(outcome);
      crashed.recorder.close();
      first.recorder.close();
      const again = record(directory);
      expect(outcomeOf(again)).toEqual(outcome);
      again.recorder.close();
    });
  }
});
