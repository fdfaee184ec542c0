/** The limits in the welcome of a server with the default settings, for servers of tests. */

import type { MessageOf } from '../../protocol/messages';
import { welcomeLimits } from '../../src/app/welcome-limits';
import { settings } from '../bench/generated-market';

type Named = MessageOf<'welcome'>['limits'];

export function namedLimits(own: Partial<Named> = {}): Named {
  const defaults = settings({});
  return { ...welcomeLimits(defaults, defaults.limits), ...own };
}
