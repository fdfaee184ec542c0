/**
 * Topic changes: the topics in the order of their last change, newest first. Finding what changed
 * since some time costs only the number of changed topics.
 */

/** A topic as a link of the list. */
export interface ChangeLink<T> {
  newer: T | null;
  older: T | null;
  /** The number of its newest change; 0: none yet. */
  moved: number;
}

export class TopicChanges<T extends ChangeLink<T>> {
  /** Changes of all topics so far. */
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

  /** Topics that changed after a change, newest first; undefined if they are more than `most`. */
  since(move: number, most: number): T[] | undefined {
    const topics: T[] = [];
    for (let topic = this.newest; topic !== null && topic.moved > move; topic = topic.older) {
      if (topics.length === most) return undefined;
      topics.push(topic);
    }
    return topics;
  }
}
