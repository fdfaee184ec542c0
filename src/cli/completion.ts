/**
 * `tapedeck completion`: a script for the shell that completes commands, options and the words that an
 * option takes, made from the command line itself, so it is never behind it.
 */

import { Argument, Command, type Option } from 'commander';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function completionCommand(): Command {
  return new Command('completion')
    .description('Print a script that lets a shell complete this command line.')
    .addArgument(new Argument('<shell>', 'for which shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  source <(tapedeck completion bash)       in ~/.bashrc
  source <(tapedeck completion zsh)        in ~/.zshrc, behind compinit
  tapedeck completion fish | source        in ~/.config/fish/config.fish
`,
    )
    .action((shell: (typeof SHELLS)[number], _options: unknown, self: Command) => {
      const program = self.parent!;
      const script = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
      process.stdout.write(script(program));
    });
}

interface Described {
  readonly name: string;
  readonly about: string;
  readonly options: readonly Option[];
  /** Words that its argument takes, where they are known. */
  readonly words: readonly string[];
  readonly takesFiles: boolean;
}

function describe(program: Command): Described[] {
  return program.commands.map((command) => ({
    name: command.name(),
    about: command.description(),
    options: [...command.options, ...program.options, command.createOption('--help', 'show help')],
    words: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
    takesFiles: command.registeredArguments.some((argument) => argument.name() === 'file'),
  }));
}

function flags(options: readonly Option[]): string[] {
  return options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long]));
}

function bashScript(program: Command): string {
  const name = program.name();
  const commands = describe(program);
  const cases = commands.map(({ name: command, options, words, takesFiles }) => {
    const values = options
      .filter(({ argChoices, long }) => argChoices !== undefined && long !== undefined)
      .map(({ long, argChoices }) => `      ${long}) words="${argChoices!.join(' ')}" ;;`);
    const files = options
      .filter(({ flags: text }) => /<(FILE|DIR)>/.test(text))
      .map(({ long }) => `      ${long}) COMPREPLY=($(compgen -f -- "$current")); return ;;`);
    const offered = [...words, ...flags(options)].join(' ');
    return [
      `  ${command})`,
      '    case "$before" in',
      ...values,
      ...files,
      `      *) words="${offered}"${takesFiles ? '; files=yes' : ''} ;;`,
      '    esac ;;',
    ].join('\n');
  });
  const top = [...commands.map((c) => c.name), '--help', '--version'].join(' ');
  return `_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}" words="" files=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${top}" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ -n "$files" ]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}
complete -F _${name} ${name}
`;
}

/** zsh reads what bash does. */
function zshScript(program: Command): string {
  return `autoload -U +X bashcompinit && bashcompinit\n${bashScript(program)}`;
}

function fishScript(program: Command): string {
  const name = program.name();
  const lines = [`complete -c ${name} -f`];
  for (const { name: command, about, options, words, takesFiles } of describe(program)) {
    lines.push(`complete -c ${name} -n __fish_use_subcommand -a ${command} -d ${quoted(about)}`);
    const within = `complete -c ${name} -n '__fish_seen_subcommand_from ${command}'`;
    if (words.length > 0) lines.push(`${within} -a ${quoted(words.join(' '))}`);
    if (takesFiles) lines.push(`${within} -F`);
    for (const option of options) {
      if (option.long === undefined || option.long === null) continue;
      const { argChoices = [], description, flags: text } = option;
      const takes = text.includes('<') ? ' -r' : '';
      const file = /<(FILE|DIR)>/.test(text) ? ' -F' : '';
      const values = argChoices.length > 0 ? ` -a ${quoted(argChoices.join(' '))}` : '';
      const long = option.long.replace(/^--/, '');
      lines.push(`${within} -l ${long}${takes}${file}${values} -d ${quoted(description)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "\\'")}'`;
}
