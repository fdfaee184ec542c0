/** `tapedeck replay`: recordings into a journal directory, or into a running server. */

import { Command, Option } from 'commander';

import { SystemClock, type Clock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { RECORDING_FORMATS, type RecordingFormat } from '../ingest/recording/detect';
import { describeRecordingFault, RECORDING_FAULTS } from '../ingest/recording/faults';
import { paced, type Speed } from '../ingest/recording/paced';
import { openRecording, type Recording } from '../ingest/recording/recording';
import { clientFault, fail } from './failure';
import { showProgress } from './progress';
import { openSink, type Sink, type SinkOptions } from './replay-sinks';

interface Options extends SinkOptions {
  readonly speed: string;
  readonly format?: RecordingFormat;
}

interface Pace {
  readonly speed: Speed;
  readonly clock: Clock;
}

interface Totals {
  events: number;
  skipped: number;
  faults: number;
}

export function replayCommand(): Command {
  return new Command('replay')
    .description('Replay recordings into a journal directory, or into a running server.')
    .argument('<file...>', 'recordings: Tapedeck tapes or Binance captures, gzip or plain')
    .option('--data <DIR>', 'into the journal in this directory (data)')
    .addOption(new Option('--to <URL>', 'into a running server').conflicts(['data', 'config']))
    .option('--key <K>', 'key with the role publish, for --to')
    .option('--speed <S>', 'max, or a multiple of real time such as 1 or 10', 'max')
    .addOption(new Option('--format <F>', 'instead of looking').choices([...RECORDING_FORMATS]))
    .addOption(
      new Option('--on-fault <P>', 'what a damaged line does')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .option('--config <FILE>', 'settings in TOML')
    .addHelpText(
      'after',
      `
Examples:
  tapedeck replay day.ndjson.gz --data ./data
  tapedeck replay day.ndjson --to http://127.0.0.1:7070 --key KEY --speed 10
`,
    )
    .action(async (files: string[], options: Options) => {
      const fault = await replay(files, options);
      if (fault !== undefined) fail(fault);
    });
}

async function replay(files: readonly string[], options: Options): Promise<StartFault | undefined> {
  if (options.to === undefined && options.key !== undefined) {
    return new StartFault('bad-usage', '--key goes with --to only', 'Give --to URL as well.');
  }
  const speed = parseSpeed(options.speed);
  if (speed === undefined) {
    return new StartFault(
      'bad-usage',
      `--speed is ${JSON.stringify(options.speed)}; expected max or a number above 0`,
      'Example: --speed 10',
    );
  }
  for (const file of files) {
    const fault = await lookInto(file, options);
    if (fault !== undefined) return fault;
  }
  let sink: Sink | StartFault;
  try {
    sink = await openSink(options);
  } catch (e) {
    return clientFault(e);
  }
  if (sink instanceof StartFault) return sink;
  const clock = new SystemClock();
  const totals: Totals = { events: 0, skipped: 0, faults: 0 };
  const startMs = clock.monotonicMs();
  try {
    for (const file of files) {
      const fault = await replayFile(file, options, { speed, clock }, sink, totals);
      if (fault !== undefined) return fault;
    }
  } catch (e) {
    return clientFault(e);
  } finally {
    sink.close();
  }
  const seconds = (clock.monotonicMs() - startMs) / 1000;
  process.stdout.write(
    `${totals.events} events in ${seconds.toFixed(2)} s (${Math.round(totals.events / seconds)}/s), ${totals.skipped} lines skipped, ${totals.faults} faults\n`,
  );
  return undefined;
}

/** Why a file is no recording, before anything is made for it. */
async function lookInto(file: string, { format }: Options): Promise<StartFault | undefined> {
  const recording = await openRecording(file, format && { format });
  if ('code' in recording) return badRecording(describeRecordingFault(recording), recording.code);
  await recording.close();
  return undefined;
}

async function replayFile(
  file: string,
  options: Options,
  pace: Pace,
  sink: Sink,
  totals: Totals,
): Promise<StartFault | undefined> {
  const { format, onFault } = options;
  const recording = await openRecording(file, { onFault, ...(format && { format }) });
  if ('code' in recording) {
    return badRecording(describeRecordingFault(recording), recording.code);
  }
  const progress = showProgress(file, pace.clock, () => recording.progress());
  try {
    const fault = await pour(recording, pace, sink, onFault, totals);
    if (fault !== undefined) return fault;
  } finally {
    progress.stop();
    const { events, skipped, faults } = recording.progress();
    totals.events += events;
    totals.skipped += skipped;
    totals.faults += faults;
  }
  const ended = recording.stoppedBy;
  return ended && badRecording(describeRecordingFault(ended), ended.code);
}

async function pour(
  recording: Recording,
  pace: Pace,
  sink: Sink,
  onFault: 'stop' | 'skip',
  totals: Totals,
): Promise<StartFault | undefined> {
  for await (const batch of paced(recording, pace)) {
    for (const fault of batch.faults) {
      if (fault !== recording.stoppedBy) process.stderr.write(`${describeRecordingFault(fault)}\n`);
    }
    const results = await sink.take(batch.records);
    for (const [i, result] of results.entries()) {
      if (!('fault' in result)) continue;
      const { code, message } = result.fault;
      const { line, events } = batch.records[i]!;
      totals.faults += 1;
      totals.events -= events.length; // counted when read, but not taken
      const text = `${recording.path}:${line}: ${message} [${code}]`;
      if (onFault === 'stop') return badRecording(text, code);
      process.stderr.write(`${text}\n`);
    }
  }
  return undefined;
}

function badRecording(message: string, code: string): StartFault {
  const hints: Readonly<Record<string, string>> = RECORDING_FAULTS;
  return new StartFault(
    'bad-recording',
    message,
    hints[code] ?? 'Mend the line, or pass --on-fault skip to leave such lines out.',
  );
}

function parseSpeed(text: string): Speed | undefined {
  if (text === 'max') return 'max';
  const speed = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  return speed > 0 && Number.isFinite(speed) ? speed : undefined;
}
