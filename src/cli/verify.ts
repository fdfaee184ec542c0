/** `tapedeck verify`: checks whether a journal is sound. */

import { Command } from 'commander';

import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { loadConfig, processEnvironment } from '../config/config';
import { readHead } from '../journal/write/head';
import { headDoubt } from '../journal/recover/head-doubt';
import { openReading, type JournalReading } from '../journal/recover/reading';
import { verifyJournal, type Verified } from '../verify/verify';
import { fail, warn } from './failure';
import { showProgress } from './progress';

interface Options {
  readonly data?: string;
  readonly config?: string;
  readonly replay?: boolean;
}

const UNSOUND = 1;

export function verifyCommand(): Command {
  return new Command('verify')
    .description('Check every record of a journal, also while a server writes it.')
    .option('--data <DIR>', 'data directory (data)')
    .option('--replay', 'also execute everything again from the first record on')
    .option('--config <FILE>', 'settings in TOML')
    .addHelpText(
      'after',
      `
Prints one line of JSON: records, seqFirst, seqLast, epochs, stateHash, and the gaps that the journal
declares, if there are any; unknownFrom, where records were given up and no checkpoint has the state
behind them yet; and warnings, where the file "head" beside it is missing or older than the
journal, as behind a restore. Equal hashes are equal markets. Exit code 1, and the first fault, when the
journal is not sound. The directory is never changed.

Every record is held against its checksum, and the newest state is restored as a start would. With
--replay each record is held against those before it as well, and what follows from it must be on record.

Example:
  tapedeck verify --data ./data
`,
    )
    .action(async (options: Options) => {
      const fault = await verify(options);
      if (fault === undefined) return;
      fail(fault);
      if (fault.code === 'journal-damaged') process.exitCode = UNSOUND;
    });
}

async function verify(options: Options): Promise<StartFault | undefined> {
  const config = loadConfig({ data: options.data, config: options.config }, processEnvironment());
  if (config instanceof StartFault) return config;
  const reading = openReading(config.journal.directory);
  if (reading instanceof StartFault) return reading;
  const isReplayed = options.replay === true;
  const progress = progressOf(reading, isReplayed);
  let verified: Verified | string;
  try {
    const { limits } = config;
    verified = await verifyJournal(reading, { limits, isReplayed, onRecords: progress.records });
  } finally {
    progress.stop();
    reading.close();
  }
  if (typeof verified !== 'string') {
    const { seqLast: seq, epochs } = reading;
    const doubt = headDoubt(readHead(config.journal.directory), { seq, epochs }, false);
    const warnings = doubt && { warnings: [{ code: doubt.code, message: doubt.message }] };
    process.stdout.write(`${JSON.stringify({ ...verified, ...warnings })}\n`);
    if (doubt !== undefined) warn(doubt);
    return undefined;
  }
  const hint =
    'Everything else may be intact; a start sets the damaged part aside. This command does not change the file.';
  return new StartFault('journal-damaged', `${reading.path}: ${verified}`, hint);
}

function progressOf(
  { seqFirst, seqLast }: JournalReading,
  isReplayed: boolean,
): { records: (count: number) => void; stop: () => void } {
  let records = 0;
  const bytesTotal = (seqLast - seqFirst + 1) * (isReplayed ? 2 : 1);
  const progress = showProgress('verify', new SystemClock(), () => ({
    bytesRead: records,
    bytesTotal,
    lines: records,
    events: records,
  }));
  return {
    records: (count) => {
      records = count;
      progress.update();
    },
    stop: () => progress.stop(),
  };
}
