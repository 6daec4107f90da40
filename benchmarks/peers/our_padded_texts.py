"""bert_tf, on examples that are all padded to the case's length, as in 2018."""

from benchmarks.peers import our_texts
from benchmarks.peers.protocol import serve

if __name__ == "__main__":
    serve(lambda case: our_texts.build(case, padded=True))
