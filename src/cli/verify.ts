/** `tapedeck verify`: whether a journal is sound. */

import { Command } from 'commander';

import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { loadConfig, processEnvironment } from '../config';
import { openReading } from '../journal/reading';
import { verifyJournal } from '../verify';
import { fail } from './failure';
import { showProgress } from './progress';

interface Options {
  readonly data?: string;
  readonly config?: string;
}

const UNSOUND = 1;

export function verifyCommand(): Command {
  return new Command('verify')
    .description('Check every record of a journal, also while a server writes it.')
    .option('--data <DIR>', 'data directory (data)')
    .option('--config <FILE>', 'settings in TOML')
    .addHelpText(
      'after',
      `
Prints one line of JSON: records, seqFirst, seqLast, epochs, stateHash. Equal hashes are equal markets.
Exit code 1, and the first fault, when the journal is not sound. The directory is never changed.

Example:
  tapedeck verify --data ./data
`,
    )
    .action((options: Options) => {
      const fault = verify(options);
      if (fault === undefined) return;
      fail(fault);
      if (fault.code === 'journal-damaged') process.exitCode = UNSOUND;
    });
}

function verify(options: Options): StartFault | undefined {
  const config = loadConfig({ data: options.data, config: options.config }, processEnvironment());
  if (config instanceof StartFault) return config;
  const reading = openReading(config.journal.directory);
  if (reading instanceof StartFault) return reading;
  let records = 0;
  const total = reading.seqLast - reading.seqFirst + 1;
  const progress = showProgress('verify', new SystemClock(), () => ({
    bytesRead: records,
    bytesTotal: total,
    lines: records,
    events: records,
  }));
  const verified = verifyJournal(reading, config.limits, (read) => {
    records = read;
    progress.update();
  });
  progress.stop();
  reading.close();
  if (typeof verified !== 'string') {
    process.stdout.write(`${JSON.stringify(verified)}\n`);
    return undefined;
  }
  const hint = 'The records before it are as they were written; the file is not changed by this.';
  return new StartFault('journal-damaged', `${reading.path}: ${verified}`, hint);
}
