/** Import sinks: opens the target of an import: a journal on this machine, or a running server. */

import type { Instrument } from '../../protocol/messages';
import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { loadConfig, processEnvironment } from '../config/config';
import type { Recorded } from '../ingest/recording/record';
import { definitionOf } from '../app/instruments';
import { FeedInstrument } from '../market/feed-instrument';
import { openRecorder, type Recorder } from '../app/recorder';
import { failNow, warn } from './failure';
import { JournalTrades } from './import-past';
import { openServerSink } from './import-server';
import type { BookState, Intake, Sink, SinkOptions } from './import-sink';
import type { SubmitResult, Train } from '../base/contracts/submission';

/** @throws TapedeckError when the server is away or refuses the key */
export function openSink(options: SinkOptions): Promise<Sink | StartFault> {
  return options.to === undefined
    ? Promise.resolve(openJournalSink(options))
    : openServerSink(options.to, options);
}

/** Lines handed to the sequencer before it takes its turns. */
const SUBMISSIONS_MAX = 1_000;
/** The one source that feeds a journal without a server. */
const SOURCE = 1;

function openJournalSink({ data, config: file, onFault }: SinkOptions): Sink | StartFault {
  const config = loadConfig({ data, config: file }, processEnvironment());
  if (config instanceof StartFault) return config;
  const settings = new Map<string, Instrument>();
  for (const setting of config.instruments) {
    const definition = definitionOf(setting);
    if ('code' in definition) {
      const message = `the instrument ${setting.symbol}: ${definition.message}`;
      return new StartFault('bad-config', message, 'Correct it under [[instruments]].');
    }
    if (definition.market === 'feed') settings.set(definition.symbol, definition);
  }
  const recorder = openRecorder(config, new SystemClock(), { fail: failNow });
  if (recorder instanceof StartFault) return recorder;
  for (const warning of recorder.warnings) warn(warning); // the next start finds the head of this run
  const { market } = recorder;
  const before = new Set<string>();
  let past: JournalTrades | undefined;
  return {
    begin: async () => {
      for (const { definition } of market.all()) before.add(definition.symbol);
      await recorder.journal.flush();
      past?.close();
      past = new JournalTrades(config.journal.directory);
    },
    past: { from: (firsts) => past!.from(firsts) },
    wasThere: (symbol) => before.has(symbol),
    lastTradeNumber: (symbol) => lastTradeNumber(recorder, symbol),
    definitionOf: (symbol) => market.get(symbol)?.definition ?? settings.get(symbol),
    take: (records) => Promise.resolve(submit(recorder, records, onFault)),
    bookOf: (symbol) => Promise.resolve(bookOf(recorder, symbol)),
    close: () => {
      past?.close();
      recorder.close();
    },
  };
}

function lastTradeNumber({ market }: Recorder, symbol: string): number {
  const instrument = market.get(symbol);
  return instrument instanceof FeedInstrument ? instrument.head().trades.numbers.last : 0;
}

function submit(
  { sequencer }: Recorder,
  records: readonly Recorded[],
  onFault: 'stop' | 'skip',
): Intake {
  const intake: Intake = { reached: 0, refused: new Map(), repeated: 0, waiting: 0 };
  const train: Train | undefined = onFault === 'stop' ? { broken: false } : undefined;
  const answer = (i: number, result: SubmitResult): void => {
    if (intake.refused.size > 0 && train?.broken === true) return;
    intake.reached = i + 1;
    if ('fault' in result) intake.refused.set(i, result.fault);
    else {
      intake.repeated += result.intake.repeated;
      intake.waiting += result.intake.waiting;
    }
  };
  for (const [i, { events, receiveTime }] of records.entries()) {
    const done = (result: SubmitResult): void => answer(i, result);
    const own = train === undefined ? {} : { train };
    sequencer.submit(SOURCE, events, done, { receiveTime, continues: true, ...own });
    if ((i + 1) % SUBMISSIONS_MAX !== 0) continue;
    sequencer.drain();
    if (train?.broken === true) break;
  }
  sequencer.drain();
  return intake;
}

function bookOf({ market }: Recorder, symbol: string): BookState {
  const instrument = market.get(symbol);
  if (instrument === undefined) return 'none';
  return instrument.bookView() === null ? 'incomplete' : 'whole';
}
