/** `tapedeck serve`: the server, until a signal ends it. */

import { Command } from 'commander';

import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { loadConfig, processEnvironment, type Flags } from '../config';
import { createLog } from '../log';
import { startServer, type Server } from '../server';
import { fail } from './failure';

export function serveCommand(): Command {
  return new Command('serve')
    .description('Start the server.')
    .option('--host <ADDRESS>', 'address to listen on (127.0.0.1)')
    .option('--port <N>', 'port to listen on (7070); 0 picks a free one')
    .option('--data <DIR>', 'data directory (data)')
    .option('--config <FILE>', 'settings in TOML')
    .option('--durability <D>', 'async, commit or fsync')
    .addHelpText(
      'after',
      `
Environment: TAPEDECK_HOST, TAPEDECK_PORT, TAPEDECK_DATA, TAPEDECK_CONFIG. Flags win over the
environment, the environment over the file.

Examples:
  tapedeck serve
  tapedeck serve --port 8080 --data /var/lib/tapedeck
`,
    )
    .action((flags: Flags) => {
      const config = loadConfig(flags, processEnvironment());
      if (config instanceof StartFault) return fail(config);
      const log = createLog(config.log.level);
      const server = startServer(config, new SystemClock(), log);
      if (server instanceof StartFault) return fail(server);
      announce(server, config.journal.directory);
      stopOnSignal(server);
    });
}

function announce(server: Server, directory: string): void {
  process.stdout.write(
    [
      `Tapedeck ${server.url}  (epoch ${server.epoch}, data in ${directory})`,
      `  REST       ${server.url}/v1/instruments`,
      `  WebSocket  ${server.url.replace('http', 'ws')}/v1/stream`,
      '',
    ].join('\n'),
  );
}

function stopOnSignal(server: Server): void {
  let stopping = false;
  const stop = (): void => {
    // A second signal is somebody who does not want to wait.
    if (stopping) process.exit(130);
    stopping = true;
    server.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`tapedeck: stopping failed: ${String(error)}\n`);
        process.exit(70);
      },
    );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}
