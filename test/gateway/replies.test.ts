/** Long answers over REST: sent in pieces as they are read, counted until then, and refused where there is no room. */

import { expect, test } from 'bun:test';

import { ByteAccount } from '../../src/base/byte-account';
import { Replies } from '../../src/gateway/rest/replies';

const LONG = 300_000;

function given() {
  const account = new ByteAccount({ clientBytesMax: 1_000_000, clientBytesPerClientMax: 500_000 });
  const replies = new Replies(() => account.open('one'));
  const ask = (length = LONG) =>
    replies.of(new Request('http://x'), new Response('a'.repeat(length), { status: 201 }));
  return { account, ask };
}

test('an answer counts until it was read, or its client has disconnected', async () => {
  const { account, ask } = given();
  const reply = (await ask()) as Response;
  expect([reply.status, account.ofKind.replies]).toEqual([201, LONG]);
  expect(await reply.text()).toBe('a'.repeat(LONG));
  expect([account.ofKind.replies, account.clients]).toEqual([0, 0]);
  const gone = (await ask()) as Response;
  await gone.body!.cancel();
  expect([account.ofKind.replies, account.clients]).toEqual([0, 0]);
});

test('an answer beyond the limit is refused; a short one never is', async () => {
  const { account, ask } = given();
  expect(await ask()).toBeInstanceOf(Response);
  expect(await ask()).toMatchObject({ code: 'overloaded' });
  expect(await ask(1_000)).toBeInstanceOf(Response);
  expect(account.ofKind.replies).toBe(LONG);
});
