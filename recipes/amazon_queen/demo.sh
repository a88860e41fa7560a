#!/usr/bin/env bash
# The whole line on real speech: train one pass, look at the family, export the smallest member, let it transcribe.
# Arguments are handed to the training, such as trainer.max_steps=20 for a quick look; DEMO_EXPERIMENT trains another family, such
# as amazon_queen_conformer_demo, and DEMO_FOLDER is where it goes.
set -euo pipefail

demo=${DEMO_FOLDER:-runs/demo}
experiment=${DEMO_EXPERIMENT:-amazon_queen_demo}
rm -rf "$demo"

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run allinone train experiment="$experiment" hydra.run.dir="$demo/train" "$@"
run allinone evaluate checkpoint="$demo/train/checkpoints/model.ckpt" split=test utterances=150 examples=3 save_audio="$demo/heard" hydra.run.dir="$demo/test"
run allinone export checkpoint="$demo/train/checkpoints/model.ckpt" subnet=smallest output="$demo/smallest" results="$demo/test/results.json"
run allinone transcribe model="$demo/smallest" references="$demo/heard/references.tsv" -- "$demo"/heard/*.wav

cat <<END

The family above came from one training. Its smallest member lies in $demo/smallest and runs without the rest.
Where to look next:
  $demo/test                       error rates and transcripts of every member (NIST .trn)
  $demo/smallest/README.md         what was exported, and how to use it from Python
  recipes/amazon_queen/RESULTS.md  what longer training reaches
  allinone train experiment=amazon_queen_whisper
END
