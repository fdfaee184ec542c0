/** Sources that disconnect: who may feed their instruments, and what it costs others. */

import { afterAll, expect, spyOn, test } from 'bun:test';

import { ByteAccount } from '../../src/base/byte-account';
import { ManualClock } from '../../src/base/clock';
import { SourceClients, Sources } from '../../src/app/sources';
import { at, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record } from '../support/test-recorder';
import type { SubmitResult } from '../../src/base/contracts/submission';

/** A slow machine: each reading of the time takes a millisecond, so that a turn ends after two pieces of work. */
class SlowClock extends ManualClock {
  override monotonicMs(): number {
    this.advance(1e6);
    return super.monotonicMs();
  }
}

/** More than one turn handles, so that the lanes alternate. */
const INSTRUMENTS = 2_500;
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const client = (): string => 'A';

function scene() {
  const clock = new SlowClock(at(1_000_000));
  const { recorder, batches } = record(scratch.fresh(), {}, { clock });
  const { sequencer, market } = recorder;
  const sources = new Sources(
    recorder.entry,
    { requestsHoldMs: 1_000, requestsIdleMs: 2_000 },
    clock,
    new ByteAccount({ clientBytesMax: 1e9, clientBytesPerClientMax: 1e9 }),
    new SourceClients(),
  );
  sources.start();
  const answers: SubmitResult[] = [];
  const publish = (source: number, symbols: readonly string[]): void => {
    const events = symbols.map((symbol) => trade({ symbol, eventTime: clock.now() }));
    sequencer.submit(source, events, (result) => answers.push(result));
  };
  const symbols = Array.from({ length: INSTRUMENTS }, (_, i) => `S${i}`);
  for (const symbol of symbols) sequencer.act((out) => market.define(instrument(symbol), out));
  sequencer.drain();
  return { recorder, batches, sequencer, market, sources, answers, publish, symbols };
}

test('[P5] the instruments of a disconnected source are free at once for another, however many there are', async () => {
  const { recorder, batches, sequencer, sources, answers, publish, symbols } = scene();
  const old = sources.nextId(client);
  publish(old, symbols);
  sequencer.drain();
  batches.length = 0;
  sources.release(old);
  publish(sources.nextId(client), symbols.slice(-1)); // before the end of the first source is complete
  sequencer.drain();
  recorder.close();
  await recorder.journal.closed;
  expect(answers.map((a) => ('fault' in a ? a.fault.code : 'taken'))).toEqual(['taken', 'taken']);
  const events = batches.flatMap((b) => b.events);
  const of = (reason: string) => events.filter((e) => e.type === 'status' && e.reason === reason);
  expect(of('source-disconnected').length).toBe(INSTRUMENTS);
  expect(of('source-connected').map((e) => e.symbol)).toEqual([symbols.at(-1)!]);
  // The end of the first source was published in parts.
  const most = Math.max(...batches.map((b) => b.events.length));
  expect([batches.length > 5, most < INSTRUMENTS / 2]).toEqual([true, true]);
});

test('[P5] its waiting events are processed first', async () => {
  const { recorder, sequencer, market, sources, answers, publish, symbols } = scene();
  const old = sources.nextId(client);
  publish(old, symbols);
  sources.release(old);
  sequencer.drain();
  expect(market.knows(old)).toBe(false);
  publish(sources.nextId(client), symbols);
  sequencer.drain();
  recorder.close();
  await recorder.journal.closed;
  expect(answers.map((a) => 'fault' in a)).toEqual([false, false]);
});

test('the end of a session that fed nothing does nothing', async () => {
  const { recorder, sequencer, sources } = scene();
  const acts = spyOn(sequencer, 'act');
  for (let i = 0; i < 1_000; i++) sources.release(sources.nextId(client));
  expect(acts).toHaveBeenCalledTimes(0);
  recorder.close();
  await recorder.journal.closed;
});
