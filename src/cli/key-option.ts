/**
 * Key option: where a command finds the key that it presents to a server. Every user of the machine can see
 * the command line, so the key may also come from a file, standard input or the environment.
 */

import { readFileSync } from 'node:fs';
import { Option, type Command } from 'commander';

import { StartFault } from '../base/start-fault';
import { processEnvironment, type Environment } from '../config/config';

export const KEY_VARIABLE = 'TAPEDECK_KEY';
const STANDARD_INPUT = 0;
/** A token may be longer than a key; neither is as long as this. */
const LENGTH_MAX = 16_384;

export interface KeyFlags {
  readonly key?: string;
  readonly keyFile?: string;
}

/** @param what what the key is for, for the help */
export function withKeyOptions(command: Command, what: string): Command {
  const shown = new Option(
    '--key <K>',
    `${what}; every user of this machine can see it in the list of processes`,
  );
  return command
    .addOption(shown.conflicts('keyFile'))
    .option(
      '--key-file <FILE>',
      `the same from a file, - is standard input; or set ${KEY_VARIABLE}`,
    );
}

/** The key of a command: from its line, a file or the environment. */
export function keyOf(
  { key, keyFile }: KeyFlags,
  environment: Environment = processEnvironment(),
): string | undefined | StartFault {
  if (key !== undefined) return key;
  if (keyFile === undefined) return environment[KEY_VARIABLE] || undefined;
  let text: string;
  try {
    text = readFileSync(keyFile === '-' ? STANDARD_INPUT : keyFile, 'utf8').trim();
  } catch (e) {
    return badFile(keyFile, `cannot be read: ${(e as Error).message}`);
  }
  // Do not print the content: it may contain a key.
  if (text === '' || text.length > LENGTH_MAX || /\s/.test(text)) {
    return badFile(keyFile, 'has no key in it; expected one line with the key');
  }
  return text;
}

function badFile(file: string, why: string): StartFault {
  const name = file === '-' ? 'the input' : file;
  return new StartFault(
    'bad-usage',
    `--key-file: ${name} ${why}`,
    'Write the output of "tapedeck keys make" into it.',
  );
}
