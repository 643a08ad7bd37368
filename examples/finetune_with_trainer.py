"""Fine-tune a landmark detector with transformers' Trainer.

    python examples/finetune_with_trainer.py faces.jsonl --output runs/trainer

`faces.jsonl` has the landmarks that the checkpoint detects; `--push NAMESPACE/NAME` pushes the
result. KD-Loss, teachers and augmentation are in `kd-landmarks train`.
"""

from typing import Annotated

import typer
from transformers import EvalPrediction, Trainer, TrainingArguments

from kd_landmarks import default_checkpoint, load_rows, nme
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.data.splits import split_by_photo
from kd_landmarks.models.loading import detector_scheme, load_detector


def main(
    data: Annotated[str, typer.Argument(help="Labeled faces: what --data of train takes.")],
    output: Annotated[str, typer.Option(help="Folder of the result.")],
    init: Annotated[str, typer.Option(help="Checkpoint to start from.")] = default_checkpoint(),
    epochs: float = 3,
    push: Annotated[str | None, typer.Option(help="Hub id to push to.")] = None,
) -> None:
    """Train, evaluate, save and push."""
    model, processor = load_detector(init)
    scheme = detector_scheme(model, init)
    faces = check_rows(load_rows(data, scheme=scheme), scheme)
    train, validation = split_by_photo(faces, max(1, len(faces) // 5), seed=0)

    def crops(rows: dict) -> dict:
        boxes = [[box] for box in rows["box"]]
        found = processor(rows["image"], boxes=boxes, landmarks=rows["landmarks"])
        return {"pixel_values": found["pixel_values"], "labels": found["labels"]}

    def metrics(told: EvalPrediction) -> dict[str, float]:
        return {"nme": float(nme(told.predictions[0], told.label_ids, scheme).mean())}

    arguments = TrainingArguments(
        output,
        num_train_epochs=epochs,
        per_device_train_batch_size=16,
        learning_rate=3e-4,
        eval_strategy="epoch",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
        report_to=[],
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=train.with_transform(crops),
        eval_dataset=validation.with_transform(crops),
        compute_metrics=metrics,
        processing_class=processor,
    )
    trainer.train()
    print(trainer.evaluate())
    trainer.save_model(output)
    if push is not None:
        model.push_to_hub(push)
        processor.push_to_hub(push)


if __name__ == "__main__":
    typer.run(main)
