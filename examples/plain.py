"""Train the paper's networks in plain PyTorch, without Lightning and Hydra.

python examples/plain.py datasets/GOPRO_Large --epochs 40 --out mine.safetensors
"""

import argparse

import torch
from torch.utils.data import DataLoader

import deblur
from deblur import losses, networks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("root", help="pairs, in any layout of docs/data.md")
for name, value in {"crop": 256, "batch": 4, "epochs": 40, "out": "plain.safetensors"}.items():
    parser.add_argument(f"--{name}", type=type(value), default=value)
given = parser.parse_args()

data = deblur.PairedFolder(root=given.root, split="train", crop=given.crop, seed=0)
sampler = deblur.EpochSampler(len(data), seed=0, shuffle=True)  # new crops in each epoch
loader = DataLoader(data, given.batch, sampler=sampler, drop_last=True)
generator = networks.ResNet(zero_last=True)
discriminator = networks.DenseDiscriminator(crop=given.crop)
minimax, perceptual, charbonnier = losses.Minimax(), losses.Perceptual(), losses.Charbonnier()
generator_steps = torch.optim.Adam(generator.parameters(), lr=1e-4)
discriminator_steps = torch.optim.Adam(discriminator.parameters(), lr=1e-4)
for epoch in range(given.epochs):
    sampler.set_epoch(epoch)
    for blur, sharp, _ in loader:
        restored = generator(blur)
        discriminator_steps.zero_grad()
        minimax.discriminator_loss(discriminator, restored.detach(), sharp).loss.backward()
        discriminator_steps.step()
        generator_steps.zero_grad()
        loss = charbonnier(restored, sharp) + 0.1 * perceptual(restored, sharp)
        (loss + 3e-4 * minimax.generator_loss(discriminator, restored, sharp)).backward()
        generator_steps.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.4f}")
deblur.save_generator(given.out, generator)  # deblur photo.jpg --model plain.safetensors
