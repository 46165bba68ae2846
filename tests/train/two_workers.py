"""Two processes in a gloo group, without Ray: `answers` runs `job(rank, answer, *args)` in both."""

import os
import pickle
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def answers(job, *args, seconds=200):
    """What the two said with `answer(about, found)`, by (rank, about); a failed one fails all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_run, args=(r, port, queue, job, args)) for r in (0, 1)]
    for process in processes:
        process.start()
    found, running = {}, 2
    while running:
        rank, about, answer = pickle.loads(queue.get(timeout=seconds))
        assert about != "failed", answer
        if about == "ended":
            running -= 1
        else:
            found[rank, about] = answer
    for process in processes:
        process.join(timeout=60)
    return found


def _run(rank, port, queue, job, args):
    def answer(about, found):
        # Pickled here: the queue would share tensors through a process that has ended by then.
        queue.put(pickle.dumps((rank, about, found)))

    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", DS_ACCELERATOR="cpu")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    try:
        job(rank, answer, *args)
    except BaseException as error:
        answer("failed", repr(error))
        raise
    answer("ended", None)
