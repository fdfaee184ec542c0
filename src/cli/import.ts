/** `tapedeck import`, also called `replay`: recordings into a journal directory, or into a running server. */

import { Command, Option } from 'commander';

import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { comesOnce } from '../ingest/recording/bytes';
import { RECORDING_FORMATS } from '../ingest/recording/detect';
import {
  describeRecordingFault,
  RECORDING_FAULTS,
  type RecordingFault,
} from '../ingest/recording/faults';
import { BookMarkets } from '../ingest/recording/markets';
import { openRecording, type RecordingOptions } from '../ingest/recording/recording';
import { TIME_UNITS } from '../ingest/recording/times';
import { clientFault, fail } from './failure';
import { readOptions, withKey, type Asked, type ImportOptions } from './import-options';
import { ImportRun } from './import-run';
import type { ImportSummary } from './import-summary';
import type { Sink } from './import-sink';
import { openSink } from './import-sinks';
import { withKeyOptions } from './key-option';
import { RecordingSource } from './recording-source';

export function importCommand(): Command {
  const command = new Command('import')
    .alias('replay')
    .description('Import recordings into a journal directory or a running server.')
    .argument(
      '<file...>',
      'Tapedeck tapes or Binance captures: gzip, zstd or plain; - is standard input',
    )
    .option('--data <DIR>', 'into the journal in this directory (data)')
    .addOption(new Option('--to <URL>', 'into a running server').conflicts(['data', 'config']));
  return withKeyOptions(command, 'key with the role publish, for --to')
    .option('--speed <S>', 'max, or a multiple of real time such as 1 or 10', 'max')
    .addOption(
      new Option('--format <F>', 'instead of detecting it').choices([...RECORDING_FORMATS]),
    )
    .addOption(
      new Option('--on-fault <P>', 'what to do at a damaged line')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .addOption(
      new Option('--time-unit <U>', 'unit of the times: of a tape, or of receive times')
        .choices([...TIME_UNITS])
        .default('ns'),
    )
    .addOption(repeatable('--price-scale <N>', 'decimals of prices, or SYMBOL=N; repeatable'))
    .addOption(
      repeatable('--quantity-scale <N>', 'decimals of quantities, or SYMBOL=N; repeatable'),
    )
    .addOption(repeatable('--symbol <NAME=SYMBOL>', 'another name for a symbol of the recording'))
    .option('--snapshot-symbol <SYMBOL>', 'symbol of Binance snapshots that name none')
    .option(
      '--continue',
      'treat the numbers as continuing those of the journal, without checking the recorded trades',
    )
    .option('--json', 'the summary as one JSON object')
    .option('--config <FILE>', 'settings in TOML')
    .addHelpText(
      'after',
      `
The summary accounts for every line: taken, repeated (it was there already), waiting (a change of a
book that waits for a snapshot), skipped or refused.

Examples:
  tapedeck import day.ndjson.gz --data ./data
  zcat day.gz | tapedeck import - --data ./data --symbol 'BTC/USDT:USDT=BTCUSDT.PERP'
  tapedeck import day.ndjson --to http://127.0.0.1:7070 --key-file FILE --speed 10
`,
    )
    .action(async (files: string[], flags: ImportOptions) => {
      const options = withKey(flags, files);
      const fault = options instanceof StartFault ? options : await importAll(files, options);
      if (fault !== undefined) fail(fault);
    });
}

function repeatable(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, before: string[] | undefined) => [
    ...(before ?? []),
    value,
  ]);
}

async function importAll(
  files: readonly string[],
  options: ImportOptions,
): Promise<StartFault | undefined> {
  const asked = readOptions(options);
  if (asked instanceof StartFault) return asked;
  for (const file of files) {
    const fault = await lookInto(file, options);
    if (fault !== undefined) return fault;
  }
  try {
    const sink = await openSink(options);
    if (sink instanceof StartFault) return sink;
    try {
      const clock = new SystemClock();
      const startMs = clock.monotonicMs();
      const report = (text: string): void => void process.stderr.write(`${text}\n`);
      const { summary, fault } = await importRecordings(files, options, asked, sink, report);
      const seconds = (clock.monotonicMs() - startMs) / 1000;
      const isJson = options.json === true;
      process.stdout.write(isJson ? `${summary.toJson(seconds)}\n` : summary.toText(seconds));
      return fault && badRecording(fault);
    } finally {
      sink.close();
    }
  } catch (e) {
    return clientFault(e);
  }
}

/** Why a file is no recording, found before anything is created; a pipe is checked when it is read. */
async function lookInto(file: string, options: ImportOptions): Promise<StartFault | undefined> {
  if (await comesOnce(file)) return undefined;
  const recording = await openRecording(file, formatOf(options));
  if ('code' in recording) return badRecording(recording);
  await recording.close();
  return undefined;
}

/**
 * Imports recordings, one after the other, into an open sink.
 * @param report takes the faults that do not end it
 * @returns what became of the lines, and what ended it early
 * @throws TapedeckError when the connection fails
 */
export async function importRecordings(
  files: readonly string[],
  options: ImportOptions,
  asked: Asked,
  sink: Sink,
  report: (text: string) => void,
): Promise<{ summary: ImportSummary; fault: RecordingFault | undefined }> {
  const clock = new SystemClock();
  const { onFault, snapshotSymbol, timeUnit } = options;
  const run = new ImportRun(sink, {
    onFault,
    continues: options.continue === true,
    speed: asked.speed,
    clock,
    report,
  });
  const reading: RecordingOptions = {
    ...formatOf(options),
    onFault,
    timeUnit,
    names: asked.names,
    markets: new BookMarkets(),
    known: { definitionOf: (symbol) => sink.definitionOf(symbol), scales: asked.scales },
    ...(snapshotSymbol !== undefined && { snapshotSymbol }),
  };
  const source = new RecordingSource(files, run, reading, clock);
  source.start();
  const fault = await source.ended;
  const { summary } = run;
  if (fault !== undefined) summary.stopped = { code: fault.code, message: fault.message };
  return { summary, fault };
}

function formatOf({ format }: ImportOptions): RecordingOptions {
  const clock = new SystemClock();
  return { now: () => clock.now(), ...(format && { format }) };
}

function badRecording(fault: RecordingFault): StartFault {
  const hints: Readonly<Record<string, string>> = RECORDING_FAULTS;
  return new StartFault(
    'bad-recording',
    describeRecordingFault(fault),
    hints[fault.code] ?? 'Correct the line, or pass --on-fault skip to leave such lines out.',
  );
}
