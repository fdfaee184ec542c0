/** `tapedeck keys`: making, listing and revoking the keys of a data directory. */

import { Command } from 'commander';

import { Nanos } from '../../protocol/time';
import { SystemClock } from '../base/clock';
import { secretBytes } from '../base/secrets';
import { StartFault } from '../base/start-fault';
import { loadConfig, processEnvironment } from '../config/config';
import {
  changeKeys,
  makeKey,
  NAME_PATTERN,
  readKeys,
  ROLES,
  SYMBOLS_PATTERN,
  type Role,
  type StoredKey,
} from '../gateway/auth/stored-keys';
import { fail, outliveOutput } from './failure';
import { wordOption } from './options';

interface Where {
  readonly data?: string;
  readonly config?: string;
}

interface Wish extends Where {
  readonly role?: string[];
  readonly symbols?: string[];
  readonly days?: string;
}

const DAY_S = 86_400;
const DAYS = /^[1-9]\d{0,4}$/;

export function keysCommand(): Command {
  const make = at(new Command('make'))
    .description('Make a key and print it. It is printed only once; only its hash is stored.')
    .argument('<name>', 'owner of its orders; for lists and logs')
    .addOption(wordOption('--role <R...>', 'what it may do (read)', ROLES))
    .option(
      '--symbols <P...>',
      'symbols that the role publish allows; * matches any characters (*)',
    )
    .option('--days <N>', 'how long it is valid (for ever)')
    .action((name: string, wish: Wish) => run(wish, (directory) => makeOne(directory, name, wish)));
  const list = at(new Command('list'))
    .description('List the keys, without their secrets.')
    .option('--json', 'as JSON')
    .action((options: Where & { readonly json?: true }) =>
      run(options, (directory) => listAll(directory, options.json === true)),
    );
  const revoke = at(new Command('revoke'))
    .description('Revoke a key. A running server closes its sessions with 4002.')
    .argument('<name>', 'name of the key')
    .action((name: string, options: Where) =>
      run(options, (directory) => revokeOne(directory, name)),
    );
  return new Command('keys')
    .description('Make, list and revoke keys in the data directory of a server.')
    .addCommand(make)
    .addCommand(list)
    .addCommand(revoke)
    .addHelpText(
      'after',
      `
A server that runs takes a change on within a second.

Examples:
  tapedeck keys make feed-1 --role publish --symbols 'BTC*' ETHUSDT
  tapedeck keys make desk --role read trade --days 90
  tapedeck keys list --data /var/lib/tapedeck
  tapedeck keys revoke desk
`,
    );
}

function at(command: Command): Command {
  return command
    .option('--data <DIR>', 'data directory (data)')
    .option('--config <FILE>', 'settings in TOML, which may name it');
}

function run(where: Where, act: (directory: string) => StartFault | undefined): void {
  const config = loadConfig({ data: where.data, config: where.config }, processEnvironment());
  const fault = config instanceof StartFault ? config : act(config.journal.directory);
  if (fault !== undefined) fail(fault);
}

function makeOne(directory: string, name: string, wish: Wish): StartFault | undefined {
  const { role: roles = ['read'], symbols = ['*'], days } = wish;
  if (!new RegExp(NAME_PATTERN).test(name)) {
    return badUsage(
      'the name',
      name,
      '1 to 40 letters, digits, dots, dashes or underscores, not "anonymous", and not beginning with "sim-"',
    );
  }
  const wrongRole = roles.find((role) => !ROLES.includes(role as Role));
  if (wrongRole !== undefined) return badUsage('--role', wrongRole, `one of ${ROLES.join(', ')}`);
  const wrongSymbol = symbols.find((symbol) => !new RegExp(SYMBOLS_PATTERN).test(symbol));
  if (wrongSymbol !== undefined) {
    return badUsage('--symbols', wrongSymbol, 'a symbol, or a pattern such as BTC*');
  }
  if (days !== undefined && !DAYS.test(days)) {
    return badUsage('--days', days, 'a whole number from 1 to 99999');
  }
  const now = Math.floor(new SystemClock().now().since(Nanos.ZERO) / 1e9);
  const expiresAt = days === undefined ? null : now + Number(days) * DAY_S;
  const uniqueRoles = [...new Set(roles as Role[])];
  const made = makeKey({ name, roles: uniqueRoles, symbols, expiresAt }, now, secretBytes);
  const fault = changeKeys(directory, (keys) =>
    keys.some((key) => key.name === name)
      ? new StartFault(
          'bad-usage',
          `a key ${name} exists already`,
          'Revoke it first, or give another name.',
        )
      : [...keys, made.stored],
  );
  if (fault !== undefined) return fault;
  outliveOutput((reason) => fail(takenBack(directory, name, reason)));
  // Alone on standard output, so that a script can read it.
  process.stdout.write(`${made.token}\n`);
  return undefined;
}

/** Revokes a key that could not be printed. */
function takenBack(directory: string, name: string, reason: string): StartFault {
  const fault = changeKeys(directory, (keys) => keys.filter((key) => key.name !== name));
  const what = `the key could not be printed: ${reason}`;
  return fault === undefined
    ? new StartFault(
        'output-unwritable',
        `${what}; it was revoked`,
        'Make it again with an output that can be written.',
      )
    : new StartFault(
        'output-unwritable',
        `${what}; nor could it be revoked: ${fault.message}`,
        `Run "tapedeck keys revoke ${name}".`,
      );
}

function listAll(directory: string, asJson: boolean): StartFault | undefined {
  const keys = readKeys(directory);
  if (keys instanceof StartFault) return keys;
  const shown = keys.map(({ name, id, roles, symbols, createdAt, expiresAt }) => ({
    name,
    id,
    roles,
    symbols,
    createdAt: day(createdAt),
    expiresAt: expiresAt === null ? null : day(expiresAt),
  }));
  if (asJson) {
    process.stdout.write(`${JSON.stringify(shown)}\n`);
    return undefined;
  }
  for (const { name, id, roles, symbols, createdAt, expiresAt } of shown) {
    const publishes = roles.includes('publish') ? `  publishes ${symbols.join(' ')}` : '';
    const ends = expiresAt === null ? '' : `  until ${expiresAt}`;
    process.stdout.write(
      `${name}  ${roles.join(',')}  tk_${id}_…  since ${createdAt}${ends}${publishes}\n`,
    );
  }
  return undefined;
}

function day(seconds: number): string {
  return Nanos.fromSeconds(seconds, 0).toISOString();
}

function revokeOne(directory: string, name: string): StartFault | undefined {
  const fault = changeKeys(directory, (keys): readonly StoredKey[] | StartFault => {
    const left = keys.filter((key) => key.name !== name);
    return left.length < keys.length
      ? left
      : new StartFault(
          'bad-usage',
          `there is no key ${name}`,
          '"tapedeck keys list" lists the keys.',
        );
  });
  if (fault === undefined) process.stdout.write(`${name} is revoked\n`);
  return fault;
}

function badUsage(what: string, given: string, expected: string): StartFault {
  const message = `${what} is ${JSON.stringify(given)}; expected ${expected}`;
  return new StartFault('bad-usage', message, 'See "tapedeck keys make --help".');
}
