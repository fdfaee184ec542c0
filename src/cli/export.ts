/** `tapedeck export`: records of a journal as ndjson or csv, as a stream. */

import { EXPORTED_CHANNELS, SOURCE_CHANNELS } from '../../protocol/channels';
import { Command } from 'commander';

import { parseTime, type Nanos } from '../../protocol/time';
import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { loadConfig, processEnvironment } from '../config/config';
import {
  extract,
  type ExtractGap,
  type Extracted,
  type ExtractKind,
  type Range,
} from '../journal/export/extract';
import { openReading, unreadable, type JournalReading } from '../journal/recover/reading';
import { csvFormat, ndjsonFormat, type Format } from './export-formats';
import { openOutput, type ExportOutput } from './export-output';
import { fail } from './failure';
import { wordOption } from './options';
import { showProgress } from './progress';

interface Options {
  readonly data?: string;
  readonly config?: string;
  readonly kind: string;
  readonly symbol: string;
  readonly from?: string;
  readonly to?: string;
  readonly format: string;
  readonly output?: string;
}

/** The names that users give to the kinds. */
const KINDS: Readonly<Record<string, ExtractKind>> = {
  ...Object.fromEntries(EXPORTED_CHANNELS.map((channel) => [channel, channel])),
  snapshot: 'snapshot',
  order: 'command',
};
const FORMATS: Readonly<Record<string, (kind: ExtractKind, symbol: string) => Format>> = {
  ndjson: ndjsonFormat,
  csv: csvFormat,
};

interface Asked {
  readonly kind: ExtractKind;
  readonly from: Nanos | null;
  readonly to: Nanos | null;
  readonly format: Format;
}

export function exportCommand(): Command {
  return new Command('export')
    .description('Write records of a journal as ndjson or csv, also while a server writes it.')
    .option('--data <DIR>', 'data directory (data)')
    .addOption(wordOption('--kind <K>', 'what', Object.keys(KINDS)).makeOptionMandatory())
    .requiredOption('--symbol <S>', 'instrument')
    .option('--from <TIME>', 'first event time: ns since 1970, or 2024-08-09T00:35:00Z')
    .option('--to <TIME>', 'event time to end before')
    .addOption(wordOption('--format <F>', 'how', Object.keys(FORMATS)).default('ndjson'))
    .option('--output <FILE>', 'a new file, instead of standard output')
    .option('--config <FILE>', 'settings in TOML')
    .addHelpText(
      'after',
      `
ndjson of ${SOURCE_CHANNELS.join(', ')} is a tape that "import" reads; of several kinds, merged by seq, as well. csv has a row for each level of a book.
Where records are missing, ndjson has a line of type "gap"; for csv, a warning names the sequence numbers.

Examples:
  tapedeck export --data ./data --kind trade --symbol BTCUSDT --format csv --output trades.csv
  tapedeck export --kind book --symbol BTCUSDT --from 2024-08-09T00:35:00Z | gzip > book.ndjson.gz
`,
    )
    .action(async (options: Options) => {
      const fault = await exportRecords(options);
      if (fault !== undefined) fail(fault);
    });
}

async function exportRecords(options: Options): Promise<StartFault | undefined> {
  const asked = readOptions(options);
  if (asked instanceof StartFault) return asked;
  const config = loadConfig({ data: options.data, config: options.config }, processEnvironment());
  if (config instanceof StartFault) return config;
  const reading = openReading(config.journal.directory);
  if (reading instanceof StartFault) return reading;
  try {
    const instrument = reading.instruments.find(({ symbol }) => symbol === options.symbol);
    if (instrument === undefined) {
      return badUsage('--symbol', options.symbol, `one of ${someOf(reading)}`);
    }
    const output = openOutput(options.output);
    if (output instanceof StartFault) return output;
    const toFile = options.output !== undefined;
    return await pour(reading, { ...asked, instrument }, asked.format, output, toFile);
  } finally {
    reading.close();
  }
}

async function pour(
  reading: JournalReading,
  range: Range,
  format: Format,
  output: ExportOutput,
  showsProgress: boolean,
): Promise<StartFault | undefined> {
  let seqs = 0;
  let events = 0;
  const bytesTotal = showsProgress ? reading.seqLast - reading.seqFirst + 1 : null;
  const progress = showProgress('export', new SystemClock(), () => ({
    bytesRead: seqs,
    bytesTotal,
    lines: events,
    events,
  }));
  const gaps: ExtractGap[] = [];
  let whole = false;
  try {
    await output.write(format.header);
    for (const page of extract(reading, range)) {
      if (page.length > 0) await output.write(page.map((e) => format.text(e)).join(''));
      for (const e of page) if (e.type === 'gap') gaps.push(e);
      events += page.length;
      seqs = Math.max(seqs, seqOf(page.at(-1)));
      progress.update();
    }
    seqs = bytesTotal ?? seqs;
    whole = true;
    return undefined;
  } catch (e) {
    const isWriting = typeof (e as NodeJS.ErrnoException).syscall === 'string';
    return isWriting ? unwritten(e) : unreadable(reading.path, e);
  } finally {
    progress.stop();
    output.close(whole);
    if (!format.tellsGaps) for (const gap of gaps) warnOf(gap);
  }
}

function seqOf(e: Extracted | undefined): number {
  if (e === undefined) return 0;
  return e.type === 'gap' ? e.to : e.seq;
}

function warnOf({ from, to, reason }: ExtractGap): void {
  const range =
    from === to ? `sequence number ${from} is` : `sequence numbers ${from} to ${to} are`;
  process.stderr.write(`tapedeck: ${range} missing in this range of the journal (${reason})\n`);
}

function readOptions(o: Options): Asked | StartFault {
  const kind = Object.hasOwn(KINDS, o.kind) ? KINDS[o.kind]! : undefined;
  if (kind === undefined)
    return badUsage('--kind', o.kind, `one of ${Object.keys(KINDS).join(', ')}`);
  const format = Object.hasOwn(FORMATS, o.format) ? FORMATS[o.format]! : undefined;
  if (format === undefined)
    return badUsage('--format', o.format, Object.keys(FORMATS).join(' or '));
  const from = readTime('--from', o.from);
  if (from instanceof StartFault) return from;
  const to = readTime('--to', o.to);
  if (to instanceof StartFault) return to;
  if (from !== null && to !== null && to.compare(from) <= 0) {
    return badUsage('--to', o.to!, `a time after --from, which is ${JSON.stringify(o.from)}`);
  }
  return { kind, from, to, format: format(kind, o.symbol) };
}

function readTime(flag: string, text: string | undefined): Nanos | null | StartFault {
  if (text === undefined) return null;
  return parseTime(text) ?? badUsage(flag, text, 'ns since 1970 or an ISO 8601 time');
}

function badUsage(flag: string, value: string, expected: string): StartFault {
  return new StartFault(
    'bad-usage',
    `${flag} is ${JSON.stringify(value)}; expected ${expected}`,
    'Example: tapedeck export --data ./data --kind trade --symbol BTCUSDT --format csv',
  );
}

const SYMBOLS_SHOWN = 10;

function someOf({ instruments }: JournalReading): string {
  const shown = instruments.slice(0, SYMBOLS_SHOWN).map(({ symbol }) => symbol);
  if (instruments.length === 0) return 'its symbols, of which this journal has none';
  return instruments.length > SYMBOLS_SHOWN ? `${shown.join(', ')} …` : shown.join(', ');
}

function unwritten(e: unknown): StartFault {
  return new StartFault(
    'output-unwritable',
    `the output cannot be written: ${(e as Error).message}`,
    'Free some space, or give another file; the incomplete file is removed.',
  );
}
