/**
 * `tapedeck tail`: a live stream, one line for each message, from a server or a ring on this machine; on a
 * terminal as a live view.
 */

import { Command } from 'commander';

import { CHANNELS, topicForm } from '../../protocol/channels';
import type { Message } from '../../protocol/messages';
import { parseTopic } from '../../protocol/topics';
import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { Connection } from '../client/connection';
import { processEnvironment } from '../config/config';
import { defaultRingPath } from '../ipc/ring-path';
import { fail, failNow } from './failure';
import { keyOf, withKeyOptions, type KeyFlags } from './key-option';
import { LiveTail } from './live-tail';
import { READER_KEY, URL_OPTION } from './options';
import { refusal, topicsFault } from './refusal';
import { line, Output } from './tail-output';
import { tailRing } from './tail-ring';

interface Options extends KeyFlags {
  readonly url: string;
  readonly json?: true;
  readonly ring?: string;
  readonly ringOwner?: string;
}

export function tailCommand(): Command {
  const command = new Command('tail')
    .description('Print live topics, one line for each message, until interrupted.')
    .argument('[topic...]', `${CHANNELS.map(topicForm).join(', ')}; * as the symbol stands for all`)
    .addOption(URL_OPTION());
  return withKeyOptions(command, READER_KEY)
    .option(
      '--ring <PATH>',
      'read the ring of a server on this machine (default: the path for this user); without topics all of it',
    )
    .option('--ring-owner <UID>', 'user who may own the ring, besides this one and root')
    .option('--json', 'lines that "import" can read back')
    .addHelpText(
      'after',
      `
Examples:
  tapedeck tail trade:BTCUSDT status
  tapedeck tail --json 'trade:*' 'book:*' > today.ndjson
  tapedeck tail --ring default
`,
    )
    .action(async (topics: string[], options: Options, command: Command) => {
      if (options.ring !== undefined) {
        process.on('SIGINT', () => process.exit(0));
        const { ring, ringOwner } = options;
        const path = ring === 'default' ? defaultRingPath(processEnvironment()) : ring;
        if (ringOwner !== undefined && !/^\d{1,9}$/.test(ringOwner)) {
          const message = `--ring-owner is ${JSON.stringify(ringOwner)}; expected a user id`;
          return fail(new StartFault('bad-usage', message, '"id -u NAME" prints it.'));
        }
        const owner = ringOwner === undefined ? undefined : Number(ringOwner);
        return tailRing(path, topics, options.json === true, owner);
      }
      if (topics.length === 0) command.error("error: missing required argument 'topic'");
      const fault = topicsFault(topics);
      if (fault !== undefined) return fail(fault);
      const key = keyOf(options);
      if (key instanceof StartFault) return fail(key);
      await tailServer(topics, key, options);
    });
}

async function tailServer(
  topics: string[],
  key: string | undefined,
  { url, json }: Options,
): Promise<void> {
  const output = new Output();
  let live: LiveTail | undefined;
  const show = (message: Message): void => {
    const text = line(message, (symbol) => connection.instruments.get(symbol), json === true);
    if (live === undefined) output.write(text);
    else if (text !== '') live.take(message, text.trimEnd());
  };
  let connection: Connection;
  try {
    connection = await Connection.connect(url, {
      client: 'tapedeck tail',
      key,
      onMessage: show,
      onClose: ({ code, reason }) => {
        live?.end();
        const message = `the connection ended with ${code} ${reason}`.trim();
        fail(new StartFault('connection-failed', message, 'Start the command again.'));
      },
    });
    process.on('SIGINT', () => {
      live?.end();
      process.exit(0);
    });
    if (process.stdout.isTTY && json !== true) {
      live = new LiveTail(process.stdout, topics, new SystemClock());
    }
    await connection.subscribe(topics);
  } catch (e) {
    live?.end();
    const symbolOf = (field: string | null): string | undefined => {
      const index = /topics\[(\d+)\]/.exec(field ?? '')?.[1];
      return parseTopic(topics[Number(index)] ?? '')?.symbol;
    };
    failNow(await refusal(e, symbolOf, url, key));
  }
}
