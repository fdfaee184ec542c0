/** `tapedeck serve`: runs the server until a signal ends it. */

import { Command } from 'commander';

import { isLoopback } from '../app/access';
import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { loadSettings, processEnvironment, type Config, type Flags } from '../config/config';
import { demoSettings, DemoSource } from '../app/demo';
import type { Role } from '../gateway/auth/stored-keys';
import { unwritable } from '../journal/write/causes';
import { createLog } from '../log/log';
import type { Server } from '../app/running';
import { MemberServer } from '../app/member-server';
import { startServer } from '../app/server';
import type { LocalMarket } from '../app/local-market';
import type { Log } from '../log/contract';
import { defect, fail, failNow, outliveOutput } from './failure';
import { DURABILITY_OPTION, wordOption } from './options';

export function serveCommand(): Command {
  return new Command('serve')
    .description('Start the server.')
    .option('--host <ADDRESS>', 'address to listen on (127.0.0.1)')
    .option('--port <N>', 'port to listen on (7070); 0 picks a free one')
    .option('--data <DIR>', 'data directory (data)')
    .option('--config <FILE>', 'settings in TOML')
    .addOption(DURABILITY_OPTION())
    .option(
      '--ring <PATH>',
      'ring for processes on this machine; default: in the runtime directory of this user',
    )
    .option(
      '--demo',
      'run simulated markets; trading on them needs no key on this machine; keeps 1 GiB of journal',
    )
    .option('--rate <n>', 'orders a second of the demo (400)')
    .option('--cluster <NAME>', 'cluster that this server belongs to; needs --nats')
    .option('--nats <URLS>', 'servers of NATS, with commas between them')
    .addOption(wordOption('--role <R>', 'part in the cluster', ['leader', 'standby', 'edge']))
    .addHelpText(
      'after',
      `
Environment: TAPEDECK_HOST, TAPEDECK_PORT, TAPEDECK_DATA, TAPEDECK_CONFIG. Flags win over the
environment, the environment over the file.

Examples:
  tapedeck serve
  tapedeck serve --demo --rate 5000
  tapedeck serve --port 8080 --data /var/lib/tapedeck
`,
    )
    .action(async (flags: Flags & { readonly demo?: true }) => {
      const demo = flags.demo === true;
      if (flags.rate !== undefined && !demo) {
        const message = '--rate is a setting of the demo, and needs --demo';
        return fail(new StartFault('bad-usage', message, 'Give --demo as well.'));
      }
      const config = settings(flags, demo);
      if (config instanceof StartFault) return fail(config);
      const clock = new SystemClock();
      const open = demo && isLoopback(config.server.host);
      const anonymousRoles: readonly Role[] = open ? ['trade', 'admin'] : [];
      const log = createLog(config.log.level);
      const sources = demo
        ? (local: LocalMarket) => [new DemoSource(local, config, clock)]
        : () => [];
      const options = { anonymousRoles, sources };
      const isMember = config.cluster.name !== '';
      const server = isMember
        ? await MemberServer.start(config, clock, log, options)
        : startServer(config, clock, log, options);
      if (server instanceof StartFault) return fail(server);
      // Before the announcement: its reader may send a signal at once.
      stopOnSignal(server, config.journal.directory);
      process.on('SIGHUP', () => reload(server, flags, demo, log));
      const lost = 'standard output is closed; the server continues';
      outliveOutput((reason) => log.warn({ reason }, lost));
      void server.started.then(() => announce(server, config));
    });
}

function announce(server: Server, { journal }: Config): void {
  const { directory, retention } = journal;
  const kept = [
    ...(retention.hours > 0 ? [`${retention.hours} hours`] : []),
    ...(retention.bytes > 0 ? [sizeOf(retention.bytes)] : []),
  ];
  const bound = kept.length === 0 ? '' : `, the newest ${kept.join(' and ')} of it`;
  process.stdout.write(
    [
      `Tapedeck ${server.url}  (epoch ${server.epoch}, data in ${directory}${bound})`,
      `  Page       ${server.url}/`,
      `  REST       ${server.url}/v1/instruments`,
      `  WebSocket  ${server.url.replace('http', 'ws')}/v1/stream`,
      '',
    ].join('\n'),
  );
}

function sizeOf(bytes: number): string {
  const isLarge = bytes >= 2 ** 30;
  return `${Number((bytes / (isLarge ? 2 ** 30 : 2 ** 20)).toFixed(1))} ${isLarge ? 'GiB' : 'MiB'}`;
}

/** Reads the settings again, with the flags and the environment of the start. */
function reload(server: Server, flags: Flags, demo: boolean, log: Log): void {
  const config = settings(flags, demo);
  if (config instanceof StartFault) {
    log.error({ code: config.code }, `settings are unchanged: ${config.message}`);
    return;
  }
  server.reload(config);
}

function settings(flags: Flags, demo: boolean): Config | StartFault {
  const loaded = loadSettings(flags, processEnvironment());
  if (loaded instanceof StartFault) return loaded;
  return demo ? demoSettings(loaded) : loaded.config;
}

function stopOnSignal(server: Server, directory: string): void {
  let stopping = false;
  const stop = (signal: string): void => {
    // After a second signal the user does not want to wait.
    if (stopping) process.exit(130);
    stopping = true;
    server.stop(signal).then((unwritten) => {
      if (unwritten === undefined) process.exit(0);
      const { code, hint } = unwritable(directory, unwritten);
      failNow(new StartFault(code, `the journal could not be closed: ${unwritten.message}`, hint));
    }, defect);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}
