"""The engines of v1."""

#: Those that Stability's documents name, and what they call them.
ENGINES = {
    "esrgan-v1-x2plus": "Real-ESRGAN x2",
    "stable-diffusion-v1-6": "Stable Diffusion v1.6",
    "stable-diffusion-x4-latent-upscaler": "Stable Diffusion x4 Latent Upscaler",
    "stable-diffusion-xl-1024-v1-0": "Stable Diffusion XL v1.0",
}


def engines_public() -> list[dict[str, str]]:
    """The answer of `/v1/engines/list`."""
    return [
        {"id": engine, "name": name, "description": f"Stability-AI {name}", "type": "PICTURE"}
        for engine, name in ENGINES.items()
    ]
