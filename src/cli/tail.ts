/** `tapedeck tail`: a live stream, a line a message, from a server or out of a ring on this machine. */

import { Command } from 'commander';

import { StartFault } from '../base/start-fault';
import { Connection } from '../client/connection';
import { clientFault, fail, failNow } from './failure';
import { URL_OPTION } from './options';
import { line, Output } from './tail-output';
import { tailRing } from './tail-ring';

interface Options {
  readonly url: string;
  readonly json?: true;
  readonly ring?: string;
}

export function tailCommand(): Command {
  return new Command('tail')
    .description('Print live topics, a line a message, until interrupted.')
    .argument(
      '[topic...]',
      'tick:SYM, trade:SYM, bbo:SYM, book:SYM, bar:SYM:1m, stats:SYM, status; * for every symbol',
    )
    .addOption(URL_OPTION())
    .option('--ring <PATH>', 'read the ring of a server on this machine; without topics all of it')
    .option('--json', 'lines that "replay" can read back')
    .addHelpText(
      'after',
      `
Examples:
  tapedeck tail trade:BTCUSDT
  tapedeck tail --json 'trade:*' 'book:*' > today.ndjson
  tapedeck tail --ring /dev/shm/tapedeck.ring
`,
    )
    .action(async (topics: string[], { url, json, ring }: Options, command: Command) => {
      process.on('SIGINT', () => process.exit(0));
      if (ring !== undefined) return tailRing(ring, topics, json === true);
      if (topics.length === 0) command.error("error: missing required argument 'topic'");
      await tailServer(url, topics, json === true);
    });
}

async function tailServer(url: string, topics: string[], json: boolean): Promise<void> {
  const output = new Output();
  try {
    const connection = await Connection.connect(url, {
      client: 'tapedeck tail',
      onMessage: (message) => {
        output.write(line(message, (symbol) => connection.instruments.get(symbol), json));
      },
      onClose: ({ code, reason }) => {
        const message = `the connection ended with ${code} ${reason}`.trim();
        fail(new StartFault('connection-failed', message, 'Start the command again.'));
      },
    });
    await connection.subscribe(topics);
  } catch (e) {
    failNow(clientFault(e));
  }
}
