/** `tapedeck config`: checks settings, and prints them with the origin of each. */

import { Command } from 'commander';

import { readAdmitted } from '../app/access';
import { StartFault } from '../base/start-fault';
import {
  loadSettings,
  processEnvironment,
  settingsOf,
  type Flags,
  type Loaded,
} from '../config/config';
import { fail } from './failure';
import { DURABILITY_OPTION } from './options';

export function configCommand(): Command {
  const check = flags(new Command('check'))
    .description(
      'Check the settings and the files that they name, as "serve" does. Exit code 78 if they are wrong.',
    )
    .action((given: Flags) => {
      const loaded = loadSettings(given, processEnvironment());
      if (loaded instanceof StartFault) return fail(loaded);
      const admitted = readAdmitted(loaded.config);
      if (admitted instanceof StartFault) return fail(admitted);
      process.stdout.write('the settings are valid\n');
    });
  const print = flags(new Command('print'))
    .description('Print every setting in TOML, with its origin.')
    .option('--json', 'as JSON: {NAME: {value, from}}')
    .action((given: Flags & { readonly json?: true }) => {
      const loaded = loadSettings(given, processEnvironment());
      if (loaded instanceof StartFault) return fail(loaded);
      process.stdout.write(given.json === true ? settingsJson(loaded) : settingsToml(loaded));
    });
  return new Command('config')
    .description('Check settings, or print them with their origins.')
    .addCommand(check)
    .addCommand(print)
    .addHelpText(
      'after',
      `
Examples:
  tapedeck config check --config tapedeck.toml
  tapedeck config print --config tapedeck.toml
  TAPEDECK_PORT=8080 tapedeck config print --json
`,
    );
}

function flags(command: Command): Command {
  return command
    .option('--host <ADDRESS>', 'as of "serve"')
    .option('--port <N>', 'as of "serve"')
    .option('--data <DIR>', 'as of "serve"')
    .option('--config <FILE>', 'settings in TOML')
    .addOption(DURABILITY_OPTION());
}

function settingsJson(loaded: Loaded): string {
  const entries = settingsOf(loaded).map(({ name, value, from }) => [name, { value, from }]);
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
}

/** The settings as a TOML file that loads to the same values, with the origin of each in a comment. */
export function settingsToml(loaded: Loaded): string {
  let section = '';
  const lines: string[] = [];
  for (const { name, value, description, from } of settingsOf(loaded)) {
    const at = name.lastIndexOf('.');
    if (name.slice(0, at) !== section) {
      section = name.slice(0, at);
      const header = /^instruments\[\d+\]$/.test(section) ? '[[instruments]]' : `[${section}]`;
      lines.push(...(lines.length === 0 ? [] : ['']), header);
    }
    const text = `${name.slice(at + 1)} = ${tomlValue(value)}`;
    lines.push(`${text.padEnd(40)} # ${from}${description === '' ? '' : `: ${description}`}`);
  }
  return `${lines.join('\n')}\n`;
}

/** JSON strings, numbers and lists are valid TOML, except that TOML requires one more character to be escaped. */
function tomlValue(value: unknown): string {
  return JSON.stringify(value).replaceAll('\u007f', String.raw`\u007f`);
}
