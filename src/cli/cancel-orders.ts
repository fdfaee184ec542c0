/** `tapedeck cancel-orders`: an operator cancels all open orders of an owner. */

import { Command } from 'commander';

import { StartFault } from '../base/start-fault';
import { cancelOrdersOf } from '../client/rest';
import { clientFault, fail } from './failure';
import { keyOf, withKeyOptions, type KeyFlags } from './key-option';
import { URL_OPTION } from './options';

interface Options extends KeyFlags {
  readonly url: string;
}

/** Some of the owner's orders are still open. */
const LEFT = 1;

export function cancelOrdersCommand(): Command {
  const command = new Command('cancel-orders')
    .description('Cancel all open orders of an owner, also if its key is revoked.')
    .argument('<owner>', 'name of its key')
    .addOption(URL_OPTION());
  return withKeyOptions(command, 'key with the role admin, if the server has keys')
    .addHelpText(
      'after',
      `
Revoke the key first, or its owner may enter more. Orders whose instrument is in an auction take no
cancel: they are counted, and the exit code is ${LEFT}.

Examples:
  tapedeck keys revoke desk && tapedeck cancel-orders desk --key-file admin.key
`,
    )
    .action(async (owner: string, options: Options) => {
      const key = keyOf(options);
      if (key instanceof StartFault) return fail(key);
      try {
        const { cancelled, left } = await cancelOrdersOf(options.url, owner, key);
        const more = left === 0 ? '' : `; ${left} are still open, try again after the auction`;
        process.stdout.write(`${cancelled} orders of ${owner} are cancelled${more}\n`);
        if (left > 0) process.exitCode = LEFT;
      } catch (e) {
        fail(clientFault(e));
      }
    });
}
