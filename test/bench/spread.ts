/** Spread: which topics each session of a bench is on. */

export const TOPICS_PER_SESSION = 10;

/** Every topic has equally many sessions, and consecutive sessions are on different topics. */
export function topicsOf(topics: readonly string[], session: number): string[] {
  return Array.from(
    { length: TOPICS_PER_SESSION },
    (_, i) => topics[(session + i * 7) % topics.length]!,
  );
}

export function spread(topics: readonly string[], sessions: number): string[][] {
  return Array.from({ length: sessions }, (_, session) => topicsOf(topics, session));
}
