/** Known: routes that ask who somebody is, and for a role; all of that by the head of the request. */

import type { Fault } from '../../../protocol/codes';
import { mayNot, type Keyring, type Principal } from '../auth/auth';
import type { Requests } from './requests';
import { refusal } from './responses';
import type { Role } from '../auth/stored-keys';

/** What it takes to know who asks. */
export interface Known {
  readonly keys: Keyring;
  readonly addressOf: (request: Request) => string;
  readonly requests: Requests;
  readonly deliver: Deliver;
}

/** Makes the response of an answer; a long one is compressed where its request takes that, in a while. */
export type Deliver = (
  request: Request,
  result: string | Fault,
  respond?: (body: string) => Response,
) => Response | Promise<Response>;

/** Finds out who asks, and answers, in a while perhaps. Without the role its body is neither read nor counted. */
export async function asKnown(
  { request }: { readonly request: Request },
  { keys, addressOf, requests, deliver }: Known,
  role: Role,
  act: (who: Principal) => string | Fault | Promise<string | Fault>,
  respond?: (body: string) => Response,
): Promise<Response> {
  const who = await keys.of(request, addressOf);
  if ('code' in who) return requests.unknown(request, who);
  const key = who.name === keys.anonymous.name ? null : who.name;
  const refused = key === null ? undefined : requests.admitKey(request, key);
  if (refused !== undefined) return refused;
  const unable = mayNot(who, role);
  if (unable !== undefined) return refusal(request, unable);
  const result = await requests.wait(request, key, () => act(who));
  return deliver(request, result, respond);
}
