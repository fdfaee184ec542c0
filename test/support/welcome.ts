/** The limits of a welcome as a server with the default settings names them, for servers of tests. */

import type { MessageOf } from '../../protocol/messages';
import { welcomeLimits } from '../../src/app/welcome-limits';
import { settings } from '../bench/generated-market';

type Named = MessageOf<'welcome'>['limits'];

export function namedLimits(own: Partial<Named> = {}): Named {
  const defaults = settings({});
  return { ...welcomeLimits(defaults, defaults.limits), ...own };
}
