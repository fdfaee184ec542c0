/**
 * Topic changes: the topics in the order in which their heads moved last, the newest first. So what has
 * changed since some moment is found at the cost of just that, however many topics there are.
 */

/** A topic as a link of the list. */
export interface ChangeLink<T> {
  newer: T | null;
  older: T | null;
  /** The number of its newest move; 0: it has not moved. */
  moved: number;
}

export class TopicChanges<T extends ChangeLink<T>> {
  /** Of all topics so far. */
  moves = 0;
  private newest: T | null = null;

  note(topic: T): void {
    topic.moved = ++this.moves;
    const { newest } = this;
    if (newest === topic) return;
    const { newer, older } = topic;
    if (newer !== null) newer.older = older;
    if (older !== null) older.newer = newer;
    topic.newer = null;
    topic.older = newest;
    if (newest !== null) newest.newer = topic;
    this.newest = topic;
  }

  /** Those that moved behind a move, the newest first; undefined when they are more than so many. */
  since(move: number, most: number): T[] | undefined {
    const topics: T[] = [];
    for (let topic = this.newest; topic !== null && topic.moved > move; topic = topic.older) {
      if (topics.length === most) return undefined;
      topics.push(topic);
    }
    return topics;
  }
}
