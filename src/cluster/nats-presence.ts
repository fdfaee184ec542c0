/** NATS presence: announcements of members, by a subject of their cluster. */

import type { NatsLink } from './nats-link';
import { unsubscribe } from './nats-read';
import type { PresenceTransport } from './presence';

export function presenceSubject(shard: string): string {
  return `tdm.${shard}`;
}

export function natsPresence(link: NatsLink, shard: string): PresenceTransport {
  const { nc, clock } = link;
  const subject = presenceSubject(shard);
  return {
    announce: (bytes) => {
      // Without a connection the client would keep it, and send it when it no longer holds.
      if (link.isConnected) nc.publish(subject, bytes);
    },
    listen: (take) => {
      const subscription = nc.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) clock.turns.run('cluster', () => take(message.data));
        },
      });
      return () => unsubscribe(nc, subscription);
    },
  };
}
