/** The page's side of the worker: a question in, a promise of its answer out. */

/** Computes landmarks in a worker. */
export class Engine {
  #worker;
  #waiting = new Map();
  #next = 0;
  #broken = null;

  constructor() {
    this.#worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
    this.#worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    };
    // A worker that could not start, or broke down, answers nothing any more.
    this.#worker.onerror = this.#worker.onmessageerror = ({ message }) => {
      this.#broken = new Error(message || "its worker could not be started");
      for (const { reject } of this.#waiting.values()) reject(this.#broken);
      this.#waiting.clear();
    };
  }

  /** Load the networks; gives what the student's file tells of it. */
  load() {
    return this.#ask("load", {});
  }

  /** The faces of a photo. The bitmap is used up. */
  photo(bitmap) {
    return this.#ask("photo", { bitmap }, [bitmap]);
  }

  /** The faces of a camera's next picture, and its bitmap back. */
  frame(bitmap, options) {
    return this.#ask("frame", { bitmap, ...options }, [bitmap]);
  }

  /** Forget the faces that are followed. */
  restart() {
    return this.#ask("restart", {});
  }

  #ask(type, given, transfer = []) {
    if (this.#broken) {
      return Promise.reject(new Error(`${this.#broken.message}. Reload the page`));
    }
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, type, ...given }, transfer);
    });
  }
}
