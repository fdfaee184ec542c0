/** Imports in this process: brings recordings into a journal directory, and reads what was recorded. */

import { readOptions, type ImportOptions } from '../../src/cli/import-options';
import { importRecordings } from '../../src/cli/import';
import { openSink } from '../../src/cli/import-sinks';
import type { ImportSummary } from '../../src/cli/import-summary';
import { StartFault } from '../../src/base/start-fault';
import { ndjsonFormat } from '../../src/cli/export-formats';
import type { RecordingFault } from '../../src/ingest/recording/faults';
import { extract, type ExtractKind } from '../../src/journal/export/extract';
import { openReading } from '../../src/journal/recover/reading';

export interface Imported {
  readonly summary: ImportSummary;
  readonly fault: RecordingFault | undefined;
  readonly reports: readonly string[];
}

/** @throws Error when the sink does not open */
export async function importInto(
  data: string,
  files: readonly string[],
  given: Partial<ImportOptions> = {},
): Promise<Imported> {
  const options: ImportOptions = { data, onFault: 'stop', speed: 'max', timeUnit: 'ns', ...given };
  const asked = readOptions(options);
  if (asked instanceof StartFault) throw new Error(asked.message);
  const sink = await openSink(options);
  if (sink instanceof StartFault) throw new Error(sink.message);
  const reports: string[] = [];
  try {
    const done = await importRecordings(files, options, asked, sink, (text) => reports.push(text));
    return { ...done, reports };
  } finally {
    sink.close();
  }
}

type Line = Record<string, unknown>;

/** What `export` returns for a kind, as objects. */
export function exported(data: string, kind: ExtractKind, symbol: string): Line[] {
  return exportedText(data, kind, symbol)
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

function exportedText(data: string, kind: ExtractKind, symbol: string): string {
  const reading = openReading(data);
  if (reading instanceof StartFault) throw new Error(reading.message);
  try {
    const instrument = reading.instruments.find((one) => one.symbol === symbol);
    if (instrument === undefined) return '';
    const format = ndjsonFormat(kind, symbol);
    return [...extract(reading, { kind, instrument, from: null, to: null })]
      .flat()
      .map((event) => format.text(event))
      .join('');
  } finally {
    reading.close();
  }
}

/** Whether the outcomes in a summary add up to its lines. */
export function balanceOf(s: ImportSummary): number {
  return s.lines - (s.taken + s.repeated + s.waiting + s.skipped + s.refused);
}
