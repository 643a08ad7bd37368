/** The camera: opening it, its pictures as they come, and what to say where there is none. */

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 60 } };

const MESSAGES = {
  NotAllowedError:
    "Camera access was refused. Allow it for this page in the browser's address bar, then press Camera again.",
  NotFoundError: "No camera was found. Connect one, then press Camera again; photos work without.",
  NotReadableError:
    "The camera is in use by another program, or does not answer. Close that program, then press Camera again.",
};

/** An open camera. */
export class Camera {
  #stream;
  #video;
  #fresh = false;
  #arrived = null;

  /**
   * Open the camera.
   *
   * @param {() => void} onLost - called when it is unplugged
   * @returns {Promise<Camera>}
   * @throws {Error} whose message a person can act upon
   */
  static async open(onLost) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers allow camera access only to pages on https or localhost.");
    }
    let stream;
    try {
      const video = { ...WANTED, facingMode: "user" };
      stream = await navigator.mediaDevices.getUserMedia({ video });
    } catch (error) {
      throw new Error(MESSAGES[error.name] ?? `The camera cannot be opened: ${error.message}.`);
    }
    const camera = new Camera();
    camera.#stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", onLost);
    camera.#video = document.createElement("video");
    Object.assign(camera.#video, { srcObject: stream, muted: true, playsInline: true });
    try {
      await camera.#video.play();
    } catch (error) {
      camera.close();
      throw new Error(`The camera shows no picture: ${error.message}.`);
    }
    camera.#watch();
    return camera;
  }

  /** Whether it shows whom it films, as a mirror does: cameras on the back of a phone do not. */
  get mirrored() {
    return this.#stream.getVideoTracks()[0].getSettings().facingMode !== "environment";
  }

  /** Its newest picture, once there is one that has not been given. */
  async picture() {
    if (!this.#fresh) {
      await new Promise((resolve) => {
        this.#arrived = resolve;
      });
    }
    this.#fresh = false;
    return createImageBitmap(this.#video);
  }

  /** Notice each new picture, also while the one before is still being computed. */
  #watch() {
    const next = (noticed) =>
      this.#video.requestVideoFrameCallback?.(noticed) ?? requestAnimationFrame(noticed);
    const noticed = () => {
      this.#fresh = true;
      this.#arrived?.();
      if (this.#video.srcObject) next(noticed);
    };
    next(noticed);
  }

  /** Switch it off. */
  close() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#video.srcObject = null;
  }
}
