/** `tapedeck completion`: prints a script for the shell. `tapedeck complete`: answers that script. */

import { Argument, Command } from 'commander';

import { StartFault } from '../base/start-fault';
import { fetchSymbols } from '../client/rest';
import { loadConfig, processEnvironment } from '../config/config';
import { readKeys } from '../gateway/auth/stored-keys';
import { readSymbols } from '../journal/recover/reading';
import { FILES_WORD, SCRIPTS } from './completion-scripts';
import { keyOf } from './key-option';
import { candidatesFor, type Surroundings } from './completion-words';

/** Short, because a person waits for the completion. */
const SERVER_MS_MAX = 1_500;

export function completionCommand(): Command {
  return new Command('completion')
    .description('Print a script that lets a shell complete this command line.')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      `
At each Tab the script asks the program itself: for commands, options, the words that an option takes,
and the symbols of the journal or of the server that the command names.

Examples:
  source <(tapedeck completion bash)       in ~/.bashrc
  source <(tapedeck completion zsh)        in ~/.zshrc, behind compinit
  tapedeck completion fish | source        in ~/.config/fish/config.fish
`,
    )
    .action((shell: string) => {
      process.stdout.write(SCRIPTS[shell]!);
    });
}

/** Prints nothing if the names are unavailable: an error would appear within the typed line. */
export function completeCommand(): Command {
  return new Command('complete')
    .description('Print the words that may come next, one on each line with its meaning.')
    .argument('[words...]', 'after "--": the line so far, without "tapedeck"')
    .action(async (words: string[], _options: unknown, self: Command) => {
      const found = await candidatesFor(self.parent!, words, { symbols, keyNames });
      const lines = found.words.map(({ word, about }) =>
        about === '' ? word : `${word}\t${about}`,
      );
      if (found.files) lines.push(FILES_WORD);
      process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    });
}

/** Names from the server if the command connects to one, otherwise from the journal. */
const symbols: Surroundings['symbols'] = async (command, words) => {
  const url = command.options.find(({ long }) => long === '--url')?.defaultValue as
    string | undefined;
  const server = valueIn(words, '--url') ?? valueIn(words, '--to') ?? url;
  try {
    if (server !== undefined) return await fetchSymbols(server, keyIn(words), SERVER_MS_MAX);
    const directory = directoryIn(words);
    return directory === undefined ? [] : readSymbols(directory);
  } catch {
    return [];
  }
};

/** The key that the line names; a key from standard input is not read here. */
function keyIn(words: readonly string[]): string | undefined {
  const [key, file] = [valueIn(words, '--key'), valueIn(words, '--key-file')];
  if (file === '-') return undefined;
  const found = keyOf({
    ...(key !== undefined && { key }),
    ...(file !== undefined && { keyFile: file }),
  });
  return found instanceof StartFault ? undefined : found;
}

const keyNames: Surroundings['keyNames'] = (words) => {
  const directory = directoryIn(words);
  const keys = directory === undefined ? [] : readKeys(directory);
  return keys instanceof StartFault ? [] : keys.map(({ name }) => name);
};

function directoryIn(words: readonly string[]): string | undefined {
  const flags = { data: valueIn(words, '--data'), config: valueIn(words, '--config') };
  const config = loadConfig(flags, processEnvironment());
  return config instanceof StartFault ? undefined : config.journal.directory;
}

/** The value of an option, in either form. */
function valueIn(words: readonly string[], option: string): string | undefined {
  const at = words.findLastIndex((word) => word === option || word.startsWith(`${option}=`));
  if (at < 0) return undefined;
  return words[at] === option ? words[at + 1] : words[at]!.slice(option.length + 1);
}
