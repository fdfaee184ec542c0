/** Options that several commands share. */

import { Option } from 'commander';

/** Purpose of a key on a server that requires one for reading. */
export const READER_KEY = 'key with the role read, if the server requires one';

export function URL_OPTION(): Option {
  return new Option('--url <URL>', 'address of the server').default('http://127.0.0.1:7070');
}

export function DURABILITY_OPTION(): Option {
  return wordOption('--durability <D>', 'when an event counts as stored', [
    'async',
    'commit',
    'fsync',
    'replicated',
  ]);
}

/** An option with known values, for help and completion; the command itself refuses other values. */
export function wordOption(flags: string, description: string, words: readonly string[]): Option {
  const option = new Option(flags, description);
  option.argChoices = [...words];
  return option;
}
