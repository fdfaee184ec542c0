/**
 * Completion words: the candidates for the next word of the command line. The line is walked as when parsing, over the
 * declarations of the commands themselves, so completion is never out of date.
 */

import type { Argument, Command, Option } from 'commander';

import { CHANNEL_TABLE, CHANNELS } from '../../protocol/channels';
import { BAR_INTERVALS } from '../../protocol/messages';

/** A word of the command line, and its description. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}

/** Candidates: words, or the name of a file. */
export interface Candidates {
  readonly words: readonly Candidate[];
  readonly files: boolean;
}

/** Names that the server or the journal knows; they may be empty. */
export interface Surroundings {
  /** @param words the whole line, for its options */
  symbols(command: Command, words: readonly string[]): Promise<readonly string[]>;
  keyNames(words: readonly string[]): readonly string[];
}

const NONE: Candidates = { words: [], files: false };
const FILES: Candidates = { words: [], files: true };

/** The state of the walk before the last word. */
interface Position {
  readonly command: Command;
  /** The number of arguments that the command has already. */
  readonly positionals: number;
  /** The option whose value comes next. */
  readonly option: Option | undefined;
  /** Whether something other than a value of that option may come there. */
  readonly isOptionSated: boolean;
  /** After `--`, where nothing is an option. */
  readonly isOperand: boolean;
}

/** @param words the words after the name of the program; the last, which may be empty, is to be completed */
export async function candidatesFor(
  program: Command,
  words: readonly string[],
  around: Surroundings,
): Promise<Candidates> {
  const current = words.at(-1) ?? '';
  const position = walk(program, words.slice(0, -1));
  const found = await offered(position, current, words, around);
  const begun = ({ word }: Candidate): boolean => word.startsWith(current);
  return { words: found.words.filter(begun), files: found.files };
}

function walk(program: Command, before: readonly string[]): Position {
  let position: Position = {
    command: program,
    positionals: 0,
    option: undefined,
    isOptionSated: true,
    isOperand: false,
  };
  for (const word of before) position = step(position, word);
  return position;
}

function step(position: Position, word: string): Position {
  const { command, option, isOperand } = position;
  if (option !== undefined && !position.isOptionSated) {
    return option.variadic
      ? { ...position, isOptionSated: true }
      : { ...position, option: undefined, isOptionSated: true };
  }
  if (!isOperand && word === '--') return { ...position, option: undefined, isOperand: true };
  if (!isOperand && isFlag(word)) {
    const next = optionsOf(command).find(({ long, short }) => [long, short].includes(word));
    const takes = next !== undefined && (next.required || next.optional);
    return {
      ...position,
      option: takes ? next : undefined,
      isOptionSated: !takes || next.optional,
    };
  }
  if (option?.variadic === true) return position; // another value of the option
  const inner = position.positionals === 0 ? named(command, word) : undefined;
  if (inner !== undefined) return { ...position, command: inner, option: undefined };
  return { ...position, option: undefined, positionals: position.positionals + 1 };
}

async function offered(
  position: Position,
  current: string,
  words: readonly string[],
  around: Surroundings,
): Promise<Candidates> {
  const { command, option, isOperand } = position;
  if (!isOperand && current.startsWith('-') && position.isOptionSated) {
    const at = current.indexOf('=');
    if (at < 0) return { words: flagsOf(command), files: false };
    const given = optionsOf(command).find(({ long }) => long === current.slice(0, at));
    const values = given === undefined ? NONE : await valuesOf(given, command, words, around);
    const prefixed = values.words.map(({ word, about }) => ({
      word: `${given!.long}=${word}`,
      about,
    }));
    return { words: prefixed, files: values.files };
  }
  if (option !== undefined) {
    const values = await valuesOf(option, command, words, around);
    if (!position.isOptionSated || values.words.length > 0) return values;
  }
  if (command.commands.length > 0) {
    return position.positionals > 0 ? NONE : { words: commandsOf(command), files: false };
  }
  const all = command.registeredArguments;
  const argument =
    all[position.positionals] ?? (all.at(-1)?.variadic === true ? all.at(-1) : undefined);
  return argument === undefined
    ? NONE
    : await argumentsOf(argument, command, current, words, around);
}

async function valuesOf(
  option: Option,
  command: Command,
  words: readonly string[],
  around: Surroundings,
): Promise<Candidates> {
  if (option.argChoices !== undefined) return plain(option.argChoices);
  if (/[<[](FILE|DIR|PATH)\b/.test(option.flags)) return FILES;
  if (/^--symbols?$/.test(option.long ?? '')) return plain(await around.symbols(command, words));
  return NONE;
}

async function argumentsOf(
  argument: Argument,
  command: Command,
  current: string,
  words: readonly string[],
  around: Surroundings,
): Promise<Candidates> {
  if (argument.argChoices !== undefined) return plain(argument.argChoices);
  switch (argument.name()) {
    case 'file':
      return FILES;
    case 'symbol':
      return plain(await around.symbols(command, words));
    case 'topic':
      return plain(await topics(current, () => around.symbols(command, words)));
    case 'name':
      return plain(command.name() === 'revoke' ? around.keyNames(words) : []);
    default:
      return NONE;
  }
}

/** First the channel, then the symbol, then the interval: each is a part of the same word. */
async function topics(
  current: string,
  symbols: () => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const channel = CHANNELS.find((c) => current.startsWith(`${c}:`));
  if (channel === undefined)
    return CHANNELS.map((c) => (CHANNEL_TABLE[c].topic === 'all' ? c : `${c}:`));
  const all = ['*', ...(await symbols())].map((symbol) => `${channel}:${symbol}`);
  if (CHANNEL_TABLE[channel].topic !== 'interval') return all;
  const begun = all.find((topic) => current.startsWith(`${topic}:`));
  return begun === undefined
    ? all.map((topic) => `${topic}:`)
    : BAR_INTERVALS.map((interval) => `${begun}:${interval}`);
}

function plain(words: readonly string[]): Candidates {
  return { words: words.map((word) => ({ word, about: '' })), files: false };
}

function isFlag(word: string): boolean {
  return word.startsWith('-') && word.length > 1;
}

/** The command's own options, and those of its parent commands. */
function optionsOf(command: Command): readonly Option[] {
  const { parent } = command;
  const above = parent === null ? [] : optionsOf(parent);
  return [...command.options, ...above].filter(({ hidden }) => !hidden);
}

function flagsOf(command: Command): Candidate[] {
  const flags = optionsOf(command).map(({ long, description }) => ({
    word: long ?? '',
    about: description,
  }));
  return [...flags.filter(({ word }) => word !== ''), { word: '--help', about: 'show help' }];
}

function commandsOf(command: Command): Candidate[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((inner) => ({ word: inner.name(), about: inner.description() }));
}

/** The subcommand of this name; for `help`, the command that help is requested for. */
function named(command: Command, word: string): Command | undefined {
  const own = command.createHelp().visibleCommands(command);
  const found = own.find((inner) => inner.name() === word || inner.aliases().includes(word));
  if (found?.name() !== 'help') return found;
  return helpOf(command);
}

/** `help` takes the names of the other commands, and nothing else. */
function helpOf(command: Command): Command {
  const help = command.createCommand('help');
  help.argument('[command]');
  const names = commandsOf(command).map(({ word }) => word);
  help.registeredArguments[0]!.argChoices = names.filter((name) => name !== 'help');
  return help;
}
