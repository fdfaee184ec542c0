/** What a topic chain holds when a crossing to another epoch is cut off [R8]. */

import { expect, test } from 'bun:test';

import { parseTopic } from '../../protocol/topics';
import { LocalBook } from '../../src/client/local-book';
import { TopicChain } from '../../src/client/topic-chain';
import { book, SYMBOL } from '../support/market-events';

const NAME = `book:${SYMBOL}`;

test('the book after a crash gap is invalid, also if the gap ends at the newest seq received', () => {
  const chain = new TopicChain(NAME, parseTopic(NAME)!, 390, new LocalBook());
  chain.take(book('snapshot', 395, 390, [99, 1], [101, 1]));
  chain.take(book('delta', 400, 395, [98, 1]));
  chain.isUnconfirmed = true;
  chain.skip({
    type: 'gap',
    topic: NAME,
    from: 393,
    to: 403,
    count: 11,
    reason: 'not-journaled',
    shard: null,
  });
  expect(chain.take(book('snapshot', 403, 403, [99, 7], [101, 1]))).toBe('taken');
  chain.rewind(403);
  expect(chain.book!.trusted).toBe(false);
  // Then a journal is served that has the messages from 393 on.
  expect(chain.take(book('delta', 422, 400, [97, 1]))).toBe('broken');
});
